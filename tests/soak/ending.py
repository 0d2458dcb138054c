"""The end of a soak: everything arrives, the ledgers are compared, outsiders verify, trends are judged."""

import asyncio
import json
from contextlib import suppress
from dataclasses import dataclass, field

from linewitness.base.clock import monotonic
from linewitness.demo.plant import DemoFailed
from soak.faults import Faults
from soak.line import Line
from soak.samples import MB, Sampler, Trend, lifetimes, longest, trend
from support.plants import account, held_tightenings, policy_of

SETTLE_S = 240.0
#: What counts as flat. A trend of less than half an hour says little, and is only reported.
MEMORY_PER_HOUR = 2 * MB
FDS_SPAN = 24
MIN_TREND_S = 1800
MOST_JOURNAL = 64 * MB
MOST_WAL = 32 * MB
#: Log bytes that one fault may cost, on the average of the whole soak.
LOG_PER_FAULT = 4_000
#: A pruned journal is a selection of its stream. What was not pruned may end with the records which say
#: that the last receipt and the last anchor came, and nothing covers these.
VERIFIED = {
    "journal": ("INCLUDED", "INTACT", "COMPLETE"),
    "package of the store": ("INTACT", "COMPLETE"),
}
OWN_TAIL = 4


@dataclass
class Report:
    """Rows of the table, and what was not as promised."""

    rows: list[tuple[str, str]] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def row(self, name: str, value: object, complaint: object = None) -> None:
        self.rows.append((name, str(value)))
        if complaint:
            self.complaints.append(f"{name}: {value}")

    @property
    def good(self) -> bool:
        return not self.complaints

    @property
    def text(self) -> str:
        table = "".join(f"| {name} | {value} |\n" for name, value in self.rows)
        ending = "".join(f"- NOT AS PROMISED: {each}\n" for each in self.complaints) or "All as promised.\n"
        return f"| figure | value |\n|---|---|\n{table}\n{ending}"


async def settle(line: Line) -> str:
    """Wait until the store has all that was made; say what is missing if it never comes."""
    deadline = monotonic() + SETTLE_S
    while True:
        missing = line.made - await asyncio.to_thread(held_tightenings, line.plant)
        if not missing:
            break
        if monotonic() > deadline:
            return f"{len(missing)} tightenings did not arrive: {sorted(missing)[:20]}"
        await asyncio.sleep(3)
    await asyncio.sleep(5)  # the last values of press and oven
    line.taken.add("gateway")
    code = await line.plant.gateway.stop()
    return "" if code == 0 else f"the gateway ended with {code}"


async def conclude(
    line: Line, faults: Faults, sampler: Sampler, *, deaths: list[str], settled: str, warm_s: float
) -> Report:
    """Account for everything."""
    report = Report()
    report.row("faults", sum(faults.counts.values()))
    for name, count in sorted(faults.counts.items()):
        report.row(f"… {name}", count)
    report.row("faults that went wrong themselves", faults.failed or 0, faults.failed)
    report.row("processes that ended by themselves", deaths or 0, deaths)
    report.row("settled", settled or "yes", settled)
    _ledgers(line, report)
    await _verified(line, report)
    _trends(sampler, report, warm_s)
    _sizes(line, faults, sampler, report)
    return report


def _ledgers(line: Line, report: Report) -> None:
    found = account(line.plant, line.made)
    report.row("tightenings made", found.made)
    report.row("… confirmed to the controller", found.told)
    report.row("… lost", len(found.lost), found.lost)
    report.row("… stored twice", len(found.duplicated), found.duplicated)
    report.row("… confirmed and lost", len(found.told_and_lost), found.told_and_lost)
    report.row("changes of points", found.changes)
    report.row("… that do not continue the one before", found.broken[:5] or 0, found.broken)
    report.row("holes in the sequence", len(found.holes), found.holes)
    report.row("verdict on the store's records", found.verdict, found.verdict == "BROKEN")


async def _verified(line: Line, report: Report) -> None:
    """Let `linewitness verify` judge the journal, and a package from the store, under a policy."""
    plant = line.plant
    policy = plant.folder / "policy.json"
    policy.write_bytes(policy_of(plant).canonical)
    for name, source in (("journal", str(plant.line_file)), ("package of the store", "package.zip")):
        if source == "package.zip":
            await plant.command("export", "store", "export", str(plant.store_file), "-o", source)
        verifying = f"verify-{source.rpartition('/')[2]}"
        try:
            said = await plant.command(verifying, "verify", source, "--policy", str(policy), "--json")
            told = json.loads(said[said.index("{") :])
            verdict = f"{told['status']}, {told['attested']} of {told['size']} attested"
            whole = told["status"] in VERIFIED[name] and told["size"] - told["attested"] <= OWN_TAIL
        except (DemoFailed, ValueError) as error:
            verdict, whole = str(error)[:300], False
        report.row(f"linewitness verify, {name}", verdict, not whole)


def _trends(sampler: Sampler, report: Report, warm_s: float) -> None:
    life = longest(sampler.samples, lambda sample: sample.gateway, warm_s)
    if len(life) < 3:
        report.row("trend", "too short")
        return
    span_s = life[-1].at_s - life[0].at_s
    counts = span_s >= MIN_TREND_S
    report.row("gateway's lifetimes", len(list(lifetimes(sampler.samples, lambda each: each.gateway))))
    report.row(
        "the longest",
        f"{(span_s + warm_s) / 60:.0f} min, trend over {span_s / 60:.0f} min after {warm_s / 60:.0f}",
    )
    for name, value in (("RSS", lambda each: each.rss), ("USS", lambda each: each.uss)):
        found = trend(life, value)
        report.row(f"{name}, MB", _memory(found), counts and found.per_hour > MEMORY_PER_HOUR)
    inside = [sample for sample in life if sample.blocks]
    if inside:
        blocks = trend(inside, lambda each: each.blocks)
        report.row("allocator's blocks", _plain(blocks))
        report.row("asyncio tasks", _plain(trend(inside, lambda each: each.tasks)))
    fds = trend(life, lambda each: each.fds)
    report.row("file descriptors", _plain(fds), fds.most - fds.least > FDS_SPAN)
    report.row("threads", _plain(trend(life, lambda each: each.threads)))
    report.row("CPU of the gateway", f"{(life[-1].cpu_s - life[0].cpu_s) / span_s:.1%} of one core")
    store = longest(sampler.samples, lambda sample: sample.store, 60)
    if len(store) >= 3:
        span_s = store[-1].at_s - store[0].at_s
        report.row(
            f"store's longest life ({span_s / 60:.0f} min), RSS, MB",
            _memory(trend(store, lambda each: each.store_rss)),
        )
        report.row("… file descriptors", _plain(trend(store, lambda each: each.store_fds)))


def _sizes(line: Line, faults: Faults, sampler: Sampler, report: Report) -> None:
    samples = sampler.samples
    journal, wal = max(each.journal for each in samples), max(each.wal for each in samples)
    with suppress(DemoFailed), line.plant.journal() as reader:
        figures = reader.figures()
        report.row("records", f"{figures.size}, pruned below {reader.pruned}", reader.pruned == 0)
        report.row("event keys", len(reader.event_keys()))
        report.row("anchors", sum(1 for _ in reader.attestations()))
    report.row(
        "journal on disk, MB: end, most",
        f"{samples[-1].journal / MB:.1f}, {journal / MB:.1f}",
        journal > MOST_JOURNAL,
    )
    report.row("its write-ahead log, MB: most", f"{wal / MB:.1f}", wal > MOST_WAL)
    report.row("telemetry buffer, MB: most", f"{max(each.telemetry for each in samples) / MB:.1f}")
    report.row("store on disk, MB", f"{samples[-1].store_db / MB:.1f}")
    report.row("records without a receipt: most", max(each.pending for each in samples))
    count = max(1, sum(faults.counts.values()))
    log = samples[-1].log / count
    report.row(
        "gateway's log, kB", f"{samples[-1].log / 1000:.0f}, {log:.0f} bytes a fault", log > LOG_PER_FAULT
    )
    report.row("store's log, kB", f"{samples[-1].store_log / 1000:.0f}")
    report.row("status page read", f"{sampler.pages} times, missed {sampler.pages_missed}")


def _memory(found: Trend) -> str:
    return (
        f"{found.per_hour / MB:+.2f} ± {found.error / MB:.2f} an hour; first fifth {found.first / MB:.1f}, "
        f"last {found.last / MB:.1f}; {found.least / MB:.1f} to {found.most / MB:.1f}"
    )


def _plain(found: Trend) -> str:
    return f"{found.per_hour:+.1f} ± {found.error:.1f} an hour; {found.least:.0f} to {found.most:.0f}"
