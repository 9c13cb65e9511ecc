"""kcat: a million lines of real text with each codec, byte for byte; keys, headers, offsets, times."""

import json
import subprocess
import time

from support import CODECS, Broker, check, corpus, figure, main, scratch


def kcat(broker, *arguments, stdin=None, stdout=subprocess.PIPE):
    command = ["kcat", "-b", broker.address, *map(str, arguments)]
    ran = subprocess.run(command, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE, timeout=300)
    check(ran.returncode == 0, f"{command}: exit code {ran.returncode}: {ran.stderr.decode()[-500:]}")
    return ran.stdout


def first_line(broker, folder):
    """The first thing that anyone tries, on a topic that does not exist yet."""
    (folder / "line").write_bytes(b"hello, river\n")
    with open(folder / "line", "rb") as line:
        kcat(broker, "-P", "-t", "greetings", stdin=line)
    check(
        kcat(broker, "-C", "-t", "greetings", "-e", "-q") == b"hello, river\n",
        "the first line came back changed",
    )


def million_lines(broker, folder, codec):
    topic, text = f"text-{codec}", corpus()
    began = time.monotonic()
    with open(text, "rb") as lines:
        kcat(broker, "-P", "-t", topic, "-p", 0, "-z", codec, stdin=lines)
    produced = time.monotonic()
    back = folder / "back"
    with open(back, "wb") as out:
        kcat(broker, "-C", "-t", topic, "-p", 0, "-o", "beginning", "-e", "-q", stdout=out)
    consumed = time.monotonic()
    same = subprocess.run(["cmp", text, back], capture_output=True)
    check(same.returncode == 0, f"{codec}: {same.stdout.decode()}{same.stderr.decode()}")
    seconds = f"produced in {produced - began:.1f} s, consumed in {consumed - produced:.1f} s"
    print(f"{codec}: a million lines {seconds}")


def keys_offsets_times(broker, folder):
    count, before = 20_000, int(time.time() * 1000)
    lines = open(corpus(), "rb").read().split(b"\n")[:count]
    lines = [line.replace(b"\t", b" ") or b" " for line in lines]
    (folder / "keyed").write_bytes(b"".join(b"key-%d\t%s\n" % (n, line) for n, line in enumerate(lines)))
    with open(folder / "keyed", "rb") as keyed:
        kcat(
            broker, "-P", "-t", "keyed", "-p", 0, "-K", r"\t", "-H", "trace=vltava", "-z", "lz4", stdin=keyed
        )
    after = int(time.time() * 1000)
    rows = kcat(broker, "-C", "-t", "keyed", "-p", 0, "-e", "-q", "-f", r"%o\t%T\t%h\t%k\t%s\n").split(b"\n")[
        :-1
    ]
    check(len(rows) == count, f"{len(rows)} records instead of {count}")
    times = []
    for number, (row, line) in enumerate(zip(rows, lines)):
        offset, stamp, headers, key, value = row.split(b"\t")
        wanted = (number, b"trace=vltava", b"key-%d" % number, line)
        check((int(offset), headers, key, value) == wanted, f"record {number} came back as {row!r}")
        times.append(int(stamp))
    check(before <= min(times) and max(times) <= after, "a timestamp lies outside of the produce call")

    window = kcat(broker, "-C", "-t", "keyed", "-p", 0, "-o", 7_000, "-c", 10, "-q", "-f", "%o ")
    check(window.split() == [b"%d" % n for n in range(7_000, 7_010)], f"offset 7000 and nine more: {window}")
    last = kcat(broker, "-C", "-t", "keyed", "-p", 0, "-o", -3, "-e", "-q", "-f", "%o ")
    check(last.split() == [b"19997", b"19998", b"19999"], f"three from the end: {last}")
    middle = times[count // 2]
    found = kcat(broker, "-Q", "-t", f"keyed:0:{middle}").decode()
    check(found.split() == ["keyed", "[0]", "offset", str(times.index(middle))], f"offset by time: {found}")
    ends = [kcat(broker, "-Q", "-t", f"keyed:0:{at}").decode().split()[-1] for at in (-2, -1)]
    check(ends == ["0", str(count)], f"beginning and end: {ends}")


def null_and_empty(broker, folder):
    (folder / "nulls").write_bytes(b"a:\nb:x\n")
    with open(folder / "nulls", "rb") as nulls:
        kcat(broker, "-P", "-t", "nulls", "-p", 0, "-K", ":", "-Z", stdin=nulls)
    sizes = kcat(broker, "-C", "-t", "nulls", "-p", 0, "-e", "-q", "-f", "%k=%S ")
    check(sizes.split() == [b"a=-1", b"b=1"], f"a null value and one of a byte: {sizes}")


def listing(broker):
    topics = {t["topic"]: t for t in json.loads(kcat(broker, "-L", "-J"))["topics"]}
    wanted = {"greetings", "keyed", "nulls", *(f"text-{codec}" for codec in CODECS)}
    check(wanted <= topics.keys(), f"the listing lacks {wanted - topics.keys()}")
    partition = topics["keyed"]["partitions"][0]
    check(
        (partition["leader"], [r["id"] for r in partition["isrs"]]) == (1, [1]),
        f"leader and ISR: {partition}",
    )


def part():
    folder = scratch("kcat")
    corpus()
    broker = Broker(folder / "broker")
    figure("start to first answer", broker.start() * 1000, "ms")
    first_line(broker, folder)
    for codec in CODECS:
        million_lines(broker, folder, codec)
    keys_offsets_times(broker, folder)
    null_and_empty(broker, folder)
    listing(broker)
    broker.stop()
    broker.start()
    kept = kcat(broker, "-Q", "-t", "text-zstd:0:-1").decode().split()[-1]
    check(kept == "1000000", f"{kept} lines are left after a restart")
    broker.stop()


if __name__ == "__main__":
    main(part)
