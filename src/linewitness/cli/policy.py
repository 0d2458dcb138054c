"""`linewitness policy`: write, sign and explain a policy, and revoke a key."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from linewitness.base.errors import ConfigurationError

if TYPE_CHECKING:
    from linewitness.evidence.format.note import Vkey
    from linewitness.evidence.policy.customer import Customer
    from linewitness.evidence.policy.policy import Attester, Policy, Role

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

PolicyFile = Annotated[Path, typer.Argument(help="The policy, plain or signed.", show_default=False)]
KeyFile = Annotated[Path, typer.Option("--key", help="File of the customer's private key.")]
NewFile = Annotated[Path, typer.Option("--output", "-o", help="New file to write.")]
TrustedKey = Annotated[
    str | None, typer.Option("--customer", help="The customer's vkey; the policy must be signed with it.")
]
Attesters = Annotated[list[str] | None, typer.Option(help="PARTY=VKEY; repeatable.")]


@app.command()
def key(
    name: Annotated[str, typer.Argument(help="Name of the key, for example customer.example/quality.")],
    file: Annotated[Path, typer.Argument(help="New file for the private key.")],
) -> None:
    """Make the customer's key. It signs policies and revocations; keep it away from the plant."""
    from linewitness.evidence.policy.customer import Customer

    customer = Customer.new(name)
    _write(file, str(customer), mode=0o600)
    typer.echo(f"customer key  {customer.vkey}")


@app.command()
def new(
    *,
    gateway_party: Annotated[
        str, typer.Option(help="Party that holds the gateway's keys: a company or a department.")
    ],
    output: NewFile,
    init: Annotated[
        Path | None, typer.Option(help="File with the output of `linewitness init`.", exists=True)
    ] = None,
    log_key: Annotated[
        str | None, typer.Option(help="The stream's log key (vkey); default: from --init.")
    ] = None,
    record_0: Annotated[str | None, typer.Option(help="Hash of record 0; default: from --init.")] = None,
    store: Attesters = None,
    witness: Attesters = None,
    quorum: Annotated[int, typer.Option(help="Number of different parties that must have cosigned.")] = 1,
    customer: Annotated[
        str | None, typer.Option(help="The customer's vkey, which signs policies and revocations.")
    ] = None,
    max_age: Annotated[
        int | None, typer.Option(help="Seconds that the newest attestation may be old; default: any.", min=1)
    ] = None,
    tsa_root: Annotated[
        list[Path] | None,
        typer.Option(help="Root certificate (PEM or DER) of a time-stamping authority.", exists=True),
    ] = None,
) -> None:
    """Write a policy and explain it. Refuses a policy that proves nothing."""
    from linewitness.evidence.format.note import Vkey
    from linewitness.evidence.policy.explain import explain
    from linewitness.evidence.policy.policy import Policy

    said = init.read_text(encoding="utf-8") if init else ""
    log_vkey = Vkey.parse(_given(log_key, r"^log key +(\S+)$", said, "--log-key"))
    policy = Policy(
        origin=log_vkey.name,
        record_0=_given(record_0, r"^record 0 +(\S+)$", said, "--record-0"),
        log_key=log_vkey,
        gateway_party=gateway_party,
        attesters=(*_attesters("store", store), *_attesters("witness", witness)),
        quorum=quorum,
        customer_key=Vkey.parse(customer) if customer else None,
        tsa_roots=tuple(_certificate(path) for path in tsa_root or ()),
        max_age_s=max_age,
    )
    _write(output, policy.canonical.decode() + "\n")
    for sentence in explain(policy):
        typer.echo(sentence)


@app.command()
def sign(file: PolicyFile, *, key: KeyFile, output: NewFile) -> None:
    """Sign a policy with the customer's key, so that changes are detected."""
    signer = _customer(key)
    policy = _policy(file)
    if policy.customer_key is not None and policy.customer_key != signer.vkey:
        raise ConfigurationError(
            f"the policy's customer key is {policy.customer_key.name} ({policy.customer_key.key_id}),"
            f" this one is {signer.name} ({signer.vkey.key_id})",
            hint="sign with the key that the policy names",
        )
    _write(output, str(policy.sign(signer.key, name=signer.name)))
    typer.echo(f"signed by {signer.name} ({signer.vkey.key_id}): {output}")


@app.command()
def check(
    file: PolicyFile,
    *,
    customer: TrustedKey = None,
    revocation: Annotated[
        list[Path] | None, typer.Option(help="A revocation signed by the customer; repeatable.")
    ] = None,
) -> None:
    """Explain whom a policy trusts. Refuses a policy that proves nothing."""
    from linewitness.evidence.command.verify import read_policy
    from linewitness.evidence.policy.explain import explain

    for sentence in explain(read_policy(file, customer=customer, revocations=revocation or ())):
        typer.echo(sentence)


@app.command()
def revoke(
    file: PolicyFile,
    *,
    vkey: Annotated[str, typer.Option(help="The key to revoke.")],
    first: Annotated[int, typer.Option(min=0, help="First record for which the key is no longer valid.")],
    reason: Annotated[str, typer.Option(help="Reason, in one line.")],
    key: KeyFile,
    output: NewFile,
) -> None:
    """Revoke a key from a record on. `verify --revocation` reads the file that this writes."""
    from linewitness.evidence.format.note import Vkey
    from linewitness.evidence.policy.revocation import Revocation, open_revocation

    signer, policy = _customer(key), _policy(file)
    revocation = Revocation(policy.origin, Vkey.parse(vkey), first, reason)
    text = str(revocation.sign(signer.key, name=signer.name))
    # Read the text back: a reason of two lines fails here, and not when an auditor verifies.
    open_revocation(text, customer=policy.customer_key or signer.vkey, origin=policy.origin)
    _write(output, text)
    typer.echo(f"{revocation.key.name} ({revocation.key.key_id}) is revoked from record {first} on: {output}")


def _policy(file: Path) -> "Policy":
    from linewitness.evidence.command.verify import read_policy

    return read_policy(file)


def _customer(file: Path) -> "Customer":
    from linewitness.evidence.command.verify import read_bytes
    from linewitness.evidence.policy.customer import Customer

    return Customer.parse(read_bytes(file, "key").decode("utf-8", "replace"))


def _given(value: str | None, pattern: str, said: str, option: str) -> str:
    if value is not None:
        return value
    found = re.search(pattern, said, re.MULTILINE)
    if found is None:
        raise ConfigurationError(f"{option} is missing", hint="give it, or --init with what `init` printed")
    return found[1]


def _attesters(role: "Role", given: list[str] | None) -> "list[Attester]":
    from linewitness.evidence.policy.policy import Attester

    return [
        Attester(party, role, _vkey(text, role)) for party, text in (_split(one, role) for one in given or ())
    ]


def _split(text: str, role: str) -> tuple[str, str]:
    party, separator, vkey = text.partition("=")
    if not party or not separator:
        raise ConfigurationError(
            f"--{role} {text!r} is not of the form PARTY=VKEY", hint="who holds the key?"
        )
    return party, vkey


def _vkey(text: str, role: str) -> "Vkey":
    from linewitness.evidence.format.note import BadNote, Vkey

    try:
        return Vkey.parse(text)
    except BadNote as error:
        raise ConfigurationError(f"--{role}: {error.what}", hint=error.hint) from None


def _certificate(path: Path) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    data = path.read_bytes()
    pem = data.lstrip().startswith(b"-----")
    try:
        found = x509.load_pem_x509_certificate(data) if pem else x509.load_der_x509_certificate(data)
    except ValueError:
        raise ConfigurationError(f"{path} does not hold a certificate", hint="PEM and DER are read") from None
    return found.public_bytes(Encoding.DER)


def _write(path: Path, text: str, *, mode: int = 0o644) -> None:
    from linewitness.base.durable import create_file

    try:
        create_file(path, text.encode(), mode=mode)
    except OSError as error:
        raise ConfigurationError(
            f"{path} cannot be written: {error.strerror}", hint="nothing is overwritten: name a new file"
        ) from None
