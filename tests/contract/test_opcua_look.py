"""Browsing and probing a server, as the commands do it."""

from pathlib import Path

from ruamel.yaml import YAML

from linewitness.devices.base import Reading
from linewitness.devices.opcua.connection.certificates import store
from linewitness.devices.opcua.look.browse import BrowsedNode, browse
from linewitness.devices.opcua.look.points_yaml import point_ids, to_yaml
from linewitness.devices.opcua.look.probe import offers, probe
from linewitness.devices.opcua.options import OpcUaOptions, ServerOptions
from linewitness_simulators.press.server import PressSimulation, serve
from support.opcua_rig import CLOCK, listening, of_type, options
from support.present import present

STILL = PressSimulation(tick_s=0, history=True)


async def test_what_browse_prints_is_accepted_as_points_and_delivers() -> None:
    async with serve(STILL) as press:
        seen = []
        found = await browse(
            ServerOptions(endpoint=press.url),
            clock=CLOCK,
            pattern="press/",
            progress=lambda nodes, variables: seen.append((nodes, variables)),
        )
        assert seen[-1][1] == 16
        by_name = {one.path[-1]: one for one in found}
        holding = by_name["Holding"]
        assert (holding.type, holding.unit, holding.writable, holding.historic, holding.value) == (
            "Double",
            "bar",
            True,
            True,
            "125",
        )
        assert by_name["Profile"].type == "Double[]"
        points = YAML(typ="safe").load(to_yaml(found))["points"]
        assert {"press.force": "telemetry", "press.holding": "change"}.items() <= {
            point["id"]: point["record"] for point in points
        }.items()
        settings = options(press, points[0])
        settings = OpcUaOptions.model_validate(settings.model_dump(exclude_unset=True) | {"points": points})
        async with listening(settings) as ear:
            await ear.first(of_type(Reading))
            assert not ear.session.refused_points


async def test_filter_and_depth_limit_what_is_found() -> None:
    async with serve(STILL) as press:
        server = ServerOptions(endpoint=press.url)
        assert [one.path[-1] for one in await browse(server, clock=CLOCK, pattern="peakforce")] == [
            "PeakForce"
        ]
        assert await browse(server, clock=CLOCK, depth=1) == []


def test_ids_are_valid_and_unique() -> None:
    found = [BrowsedNode(node="i=1", path=("Prüfung", "Wert 1")) for _ in range(3)] + [
        BrowsedNode(node="i=2", path=("ü",))
    ]
    assert point_ids(found) == ["pr-fung.wert-1", "pr-fung.wert-1-2", "pr-fung.wert-1-3", "point"]


async def test_probe_shows_value_status_times_and_offset() -> None:
    async with serve(PressSimulation(tick_s=0, clock_offset_s=60)) as press:
        report = await probe(
            ServerOptions(endpoint=press.url),
            ["ns=2;s=Press.Holding", "ns=2;s=Press.Nowhere", "nsu=urn:x;i=1"],
            clock=CLOCK,
        )
        holding, nowhere, alien = report.readings
        assert (holding.value, holding.type, holding.status, holding.quality) == (
            "125",
            "Double",
            "Good",
            "good",
        )
        assert present(holding.source_time) > present(holding.gateway_time)
        assert (nowhere.status, alien.status) == ("BadNodeIdUnknown", "BadNodeIdUnknown")
        assert abs(present(report.clock_offset_ms) - 60_000) < 2000
        assert "urn:linewitness:simulator:press" in report.namespaces


async def test_offers_list_policies_and_the_certificate_to_compare(tmp_path: Path) -> None:
    async with serve(PressSimulation(tick_s=0, certificates=tmp_path / "press")) as press:
        found = await offers(press.url)
        assert {(one.policy, one.mode) for one in found} == {
            ("None", "None"),
            *(
                (policy, mode)
                for policy in ("Basic256Sha256", "Aes128_Sha256_RsaOaep", "Aes256_Sha256_RsaPss")
                for mode in ("Sign", "SignAndEncrypt")
            ),
        }
        secure = next(one for one in found if one.mode == "SignAndEncrypt")
        assert "SHA-256" in secure.shown
        kept = store(present(secure.certificate), tmp_path / "trusted")
        assert kept.read_bytes() == (tmp_path / "press" / "server.der").read_bytes()
