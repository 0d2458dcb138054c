"""What the OPC UA driver accepts, refuses, and says about it."""

import asyncio
from pathlib import Path

import pytest

from linewitness.base.errors import DeviceRefused
from linewitness.devices.opcua.connection.certificates import (
    load_certificate,
    make_client_certificate,
    thumbprint,
)
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK, client_files, listening, options, point, reading


@pytest.mark.parametrize("mode", ["sign", "sign_and_encrypt"])
@pytest.mark.parametrize("policy", ["basic256sha256", "aes128_sha256_rsaoaep", "aes256_sha256_rsapss"])
async def test_values_come_through_each_policy(tmp_path: Path, policy: str, mode: str) -> None:
    async with serve(PressSimulation(tick_s=0, certificates=tmp_path / "press")) as press:
        security = {
            "policy": policy,
            "mode": mode,
            **client_files(tmp_path),
            "server_certificate": tmp_path / "press" / "server.der",
        }
        async with listening(options(press, point("Holding"), security=security)) as ear:
            await ear.first(reading("holding", "125"))
            assert ear.session.identity["certificate.days_left"] == "1824"
            assert ear.session.identity["our_certificate.days_left"] == "1824"


async def test_changes_go_on_over_renewals_of_the_channels_keys(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("linewitness.devices.opcua.connection.client.CHANNEL_LIFETIME_MS", 2000)
    async with serve(PressSimulation(tick_s=0, certificates=tmp_path / "press")) as press:
        security = {
            "policy": "basic256sha256",
            **client_files(tmp_path),
            "server_certificate": tmp_path / "press" / "server.der",
        }
        async with listening(options(press, point("Program"), security=security)) as ear:
            await ear.next()
            for number in range(2, 22):
                await press.set("Program", number)
                assert (await ear.next()).value == str(number)
                await asyncio.sleep(0.3)


async def test_other_server_certificate_than_the_pinned_one_is_refused(tmp_path: Path) -> None:
    files = client_files(tmp_path)
    make_client_certificate(
        certificate=tmp_path / "other.der",
        key=tmp_path / "other.pem",
        application_uri="urn:other",
        host="localhost",
        clock=CLOCK,
    )
    async with serve(PressSimulation(tick_s=0, certificates=tmp_path / "press")) as press:
        security = {"policy": "basic256sha256", **files, "server_certificate": tmp_path / "other.der"}
        with pytest.raises(DeviceRefused, match="another certificate"):
            async with listening(options(press, point("Holding"), security=security, timeout_s=1)):
                pass


async def test_unknown_server_is_kept_for_a_look_and_accepted_once_trusted(tmp_path: Path) -> None:
    trusted, rejected = tmp_path / "trusted", tmp_path / "rejected"
    trusted.mkdir()
    async with serve(PressSimulation(tick_s=0, certificates=tmp_path / "press")) as press:
        security = {
            "policy": "basic256sha256",
            **client_files(tmp_path),
            "trusted": trusted,
            "rejected": rejected,
        }
        settings = options(press, point("Holding"), security=security)
        with pytest.raises(DeviceRefused, match="not trusted"):
            async with listening(settings):
                pass
        shown = load_certificate(tmp_path / "press" / "server.der")
        kept = rejected / f"{thumbprint(shown)}.der"
        assert load_certificate(kept) == shown
        kept.rename(trusted / kept.name)
        async with listening(settings) as ear:
            await ear.first(reading("holding"))


async def test_server_that_does_not_trust_us_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "let-in").mkdir()
    simulation = PressSimulation(
        tick_s=0, certificates=tmp_path / "press", trusted_clients=tmp_path / "let-in"
    )
    files = client_files(tmp_path)
    async with serve(simulation) as press:
        security = {
            "policy": "basic256sha256",
            **files,
            "server_certificate": tmp_path / "press" / "server.der",
        }
        settings = options(press, point("Holding"), security=security)
        with pytest.raises(DeviceRefused, match="trust our certificate"):
            async with listening(settings):
                pass
        (tmp_path / "let-in" / "us.der").write_bytes(files["certificate"].read_bytes())
        async with listening(settings) as ear:
            await ear.first(reading("holding"))


async def test_policy_that_the_server_lacks_is_refused_without_falling_back(tmp_path: Path) -> None:
    async with serve(PressSimulation(tick_s=0)) as press:
        security = {
            "policy": "basic256sha256",
            **client_files(tmp_path),
            "trusted": tmp_path,
        }
        with pytest.raises(DeviceRefused, match="does not offer"):
            async with listening(options(press, point("Holding"), security=security)):
                pass
        assert press.sessions == 0


async def test_user_and_password_are_checked_by_the_server(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    simulation = PressSimulation(tick_s=0, certificates=tmp_path / "press", users={"anna": "secret"})
    async with serve(simulation) as press:
        security = {
            "policy": "basic256sha256",
            **client_files(tmp_path),
            "server_certificate": tmp_path / "press" / "server.der",
        }
        user = {"name": "anna", "password": {"file": password}}
        settings = options(press, point("Holding"), security=security, user=user)
        async with listening(settings) as ear:
            await ear.first(reading("holding"))
        password.write_text("wrong\n")
        with pytest.raises(DeviceRefused, match="password"):
            async with listening(settings):
                pass


async def test_user_may_be_a_certificate(tmp_path: Path) -> None:
    simulation = PressSimulation(tick_s=0, certificates=tmp_path / "press", users={"Linewitness anna": "x"})
    for name in ("anna", "eve"):
        make_client_certificate(
            certificate=tmp_path / f"{name}.der",
            key=tmp_path / f"{name}.key",
            application_uri="urn:user",
            host=name,
            clock=CLOCK,
        )
    async with serve(simulation) as press:
        security = {
            "policy": "basic256sha256",
            **client_files(tmp_path),
            "server_certificate": tmp_path / "press" / "server.der",
        }
        user = {"certificate": tmp_path / "anna.der", "key": {"file": tmp_path / "anna.key"}}
        async with listening(options(press, point("Holding"), security=security, user=user)) as ear:
            await ear.first(reading("holding"))
        user = {"certificate": tmp_path / "eve.der", "key": {"file": tmp_path / "eve.key"}}
        with pytest.raises(DeviceRefused):
            async with listening(options(press, point("Holding"), security=security, user=user)):
                pass


async def test_password_is_never_sent_in_the_clear(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("secret\n")
    async with serve(PressSimulation(tick_s=0, users={"anna": "secret"})) as press:
        user = {"name": "anna", "password": {"file": password}}
        with pytest.raises(DeviceRefused, match="in the clear"):
            async with listening(options(press, point("Holding"), user=user)):
                pass


async def test_missing_certificate_is_named(tmp_path: Path) -> None:
    security = {
        "policy": "basic256sha256",
        **client_files(tmp_path),
        "server_certificate": tmp_path / "nowhere.der",
    }
    with pytest.raises(DeviceRefused, match=r"nowhere\.der"):
        async with listening(options("opc.tcp://127.0.0.1:1", point("Holding"), security=security)):
            pass
