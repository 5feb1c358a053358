"""The nasty job files whose bytes an editor would spoil, or that are too long to keep: made here.

Each is its bytes, and what the one error must say; None where it is a job in spite of its looks.
"""

from __future__ import annotations

from collections.abc import Iterator

from launcher.jobfile.values.nodes import MAX_BYTES

Nasty = tuple[bytes, str | None]


def _numbers(count: int) -> bytes:
    return b",".join(b"%d" % n for n in range(count))


def _filled(start: bytes, piece: bytes, end: bytes = b"") -> bytes:
    """Return as much of a piece as a file has room for."""
    return start + piece * ((MAX_BYTES - len(start) - len(end)) // len(piece)) + end


MADE: dict[str, Nasty] = {
    "nothing": (b"", "the file is empty"),
    "only a BOM": (b"\xef\xbb\xbf", "the file is empty"),
    "a BOM before a job": (b"\xef\xbb\xbfimage: x\n", None),
    "two BOMs": (b"\xef\xbb\xbf\xef\xbb\xbfimage: x\n", "U+FEFF"),
    "a BOM in the middle": (b"image: x\n\xef\xbb\xbfname: y\n", "U+FEFF"),
    "UTF-16": ("image: x\n".encode("utf-16"), "not UTF-8"),
    "UTF-32": ("image: x\n".encode("utf-32"), "not UTF-8"),
    "latin 1": (b"image: x\nname: caf\xe9\n", "not UTF-8"),
    "an overlong slash": (b"image: a\xc0\xafb\n", "not UTF-8"),
    "a surrogate in UTF-8": (b"image: x\nname: \xed\xa0\x80\n", "not UTF-8"),
    "a cut character": (b"image: \xe2\x82", "not UTF-8"),
    "a NUL": (b"image: x\x00y\n", "U+0000"),
    "NULs": (b"\x00" * 1000, "U+0000"),
    "an ESC": (b"image: x\nname: \x1b[2J\n", "U+001B"),
    "a C1 control": ("image: x\nname: \x9b31m\n".encode(), "U+009B"),
    "a DEL": (b"image: x\x7f\n", "U+007F"),
    "a next line": ("image: x # \x85command: evil\n".encode(), "U+0085"),
    "a line separator": ("image: x # \u2028command: evil\n".encode(), "U+2028"),
    "a paragraph separator": ("image: x # \u2029command: evil\n".encode(), "U+2029"),
    "a turned line": ("image: x # \u202e }tros{\n".encode(), "U+202E"),
    "an isolate": ("image: x # \u2066\n".encode(), "U+2066"),
    "a noncharacter": ("image: x # \uffff\n".encode(), "U+FFFF"),
    "lines of CR": (b"image: x\rname: y\r", None),
    "tabs that indent": (b"schedule:\n\tpriority: 3\nimage: x\n", "not valid YAML"),
    "a whole number without end": (b"image: x\ncpus: " + b"9" * 200_000, "`cpus`"),
    "a fraction without end": (b"image: x\ncpus: 0." + b"9" * 200_000, None),
    "an exponent": (b"image: x\ncpus: 1e999999999\n", "`cpus`"),
    "a hexadecimal number": (
        b"image: x\nschedule: {priority: 0x" + b"f" * 100_000 + b"}", "priority",
    ),
    "a key without end": (b"k" * 200_000 + b": 1\n", "not valid YAML"),
    "a quoted key without end": (b'"' + b"k" * 200_000 + b'": 1\n', "not valid YAML"),
    "an explicit key without end": (b"? " + b"k" * 200_000 + b"\n: 1\n", "is not a key of a job"),
    "an image without end": (b"image: " + b"x" * 250_000, "is not a valid image"),
    "a pattern that backtracks": (b"image: " + b"a-" * 100_000 + b"!", "is not a valid image"),
    "a domain that backtracks": (b"image: " + b"a." * 100_000 + b"/!", "is not a valid image"),
    "a command without end": (b"image: x\ncommand: \"'" + b"a" * 250_000 + b'"\n', "No closing"),
    "a command of backslashes": (_filled(b"image: x\ncommand: '", b"\\", b"'\n"), "`command`"),
    "a time without end": (
        b"image: x\nschedule: {time_limit: '" + b"1h" * 100_000 + b"'}", "time_limit",
    ),
    "an array without end": (b"image: x\narray: " + b"0," * 100_000, "`array`"),
    "an array that is too long": (b"image: x\narray: 0-99999999\n", "100000"),
    "deep in flow": (b"[" * 200_000, "20 levels"),
    "deep in flow mappings": (b"{a: " * 60_000, "20 levels"),
    "deep in blocks": (b"- " * 120_000, "20 levels"),
    "deep in keys": (b"? " * 120_000, "20 levels"),
    "deep under x-": (b"image: x\nx-a: " + b"[" * 1000, "20 levels"),
    "many values": (b"image: x\ncommand: [" + b"a," * 120_000 + b"]", "20000 values"),
    "many empty lists": (b"image: x\ncommand: [" + b"[]," * 80_000 + b"]", "20000 values"),
    "many unknown keys": (
        b"".join(b"k%d: 1\n" % n for n in range(9_900)), "is not a key of a job",
    ),
    "many wrong jobs": (
        b"jobs:\n" + b"".join(b"  J%d: {}\n" % n for n in range(6_000)), "more than 5000 jobs",
    ),
    "many documents": (_filled(b"", b"---\n"), "second document"),
    "many anchors": (_filled(b"", b"- &a x\n"), "20000 values"),
    "many aliases": (b"image: x\nx-a: &a [" + b"x," * 5000 + b"]\ncommand: [" + b"*a,"  * 50_000,
                     "20000 values"),
    "many aliases of a long text": (
        b"image: x\nx-a: &a " + b"x" * 200_000 + b"\ncommand: [" + b"*a," * 18_000 + b"]",
        "with what its aliases repeat",
    ),
    "many merges": (
        b"x-a: &a0 {k: 1}\n" + b"".join(b"x-%d: &a%d {<<: [*a%d, *a%d]}\n" % (n, n, n - 1, n - 1)
        for n in range(1, 5000)), "20 levels",
    ),
    "many merges of the same": (
        b"x-a: &a {" + b",".join(b"k%d: 1" % n for n in range(2000)) + b"}\nx-b: {<<: ["
        + b"*a," * 50_000 + b"]}", "20000 values",
    ),
    "many tags": (_filled(b"", b"- !!str x\n"), "tags"),
    "many comments": (_filled(b"", b"# x\n"), "the file is empty"),
    "many empty lines": (_filled(b"", b"\n"), "the file is empty"),
    "many directives": (_filled(b"", b"%FOO bar\n"), "not valid YAML"),
    "a billion laughs": (
        b"a: &a [x,x,x]\n" + b"".join(b"%c: &%c [*%c,*%c,*%c]\n" % (n, n, n - 1, n - 1, n - 1)
        for n in range(98, 122)), "20000 values",
    ),
    "a matrix of many": (
        b"image: x\nmatrix: {a: [" + _numbers(1000) + b"], b: [" + _numbers(1000) + b"]}\n",
        "100000 combinations",
    ),
    "a matrix of many keys": (
        b"image: x\nmatrix: {a: [" + _numbers(300) + b"], b: [" + _numbers(300) + b"], "
        + b", ".join(b"k%d: [1]" % n for n in range(2000)) + b"}\n",
        "more than 4 MiB",
    ),
    "a matrix of long values": (
        b"image: x\nmatrix: {a: [" + _numbers(300) + b"], b: [" + _numbers(100) + b"], c: ["
        + b"x" * 200_000 + b"]}\n",
        "more than 4 MiB",
    ),
    "a matrix that includes a long value": (
        b"image: x\nmatrix: {a: [" + _numbers(300) + b"], b: [" + _numbers(100)
        + b"], include: [{c: " + b"x" * 200_000 + b"}]}\n",
        "more than 4 MiB",
    ),
    "a matrix that excludes in many ways": (
        b"image: x\nmatrix:\n" + b"".join(b"  k%d: [0, 1]\n" % n for n in range(14))
        + b"  exclude:\n" + b"".join(
            b"  - {" + b", ".join(b"k%d: 2" % bit for bit in range(14) if n >> bit & 1) + b"}\n"
            for n in range(1, 1500)
        ),
        "too many entries",
    ),
    "a matrix that includes in every one": (
        b"image: x\nmatrix:\n  a: [" + _numbers(300) + b"]\n  b: [" + _numbers(300)
        + b"]\n  include:\n" + b"".join(b"  - {z%d: 1}\n" % n for n in range(5000)),
        "too many entries",
    ),
    "compose: many services": (
        b"services:\n" + b"".join(b"  s%d: {image: x}\n" % n for n in range(4900)),
        "more than 1000 services",
    ),
    "compose: many services that wait": (
        b"services:\n" + b"".join(
            b"  s%d: {image: x, depends_on: [s%d]}\n" % (n, n - 1) for n in range(1, 1000)
        ) + b"  s0: {image: x}\n", None,
    ),
    "compose: many wrong dependencies": (
        b"services:\n" + b"".join(b"  s%d: {image: x, depends_on: [t%d]}\n" % (n, n)
        for n in range(1000)), "is not a key of `services`",
    ),
    "compose: all that a job cannot have": (
        b"services:\n" + b"".join(b"  s%d: {image: x, privileged: true, pid: host}\n" % n
        for n in range(1000)), "a job cannot have `privileged`",
    ),
    "compose: much that is ignored": (
        b"services:\n  a:\n    image: x\n    ports: [" + b"1," * 19_000 + b"]\n", None,
    ),
    "compose: a service again and again": (
        b"x-a: &a {image: x, command: [" + b"a," * 9_000 + b"]}\nservices: {"
        + b",".join(b"s%d: *a" % n for n in range(10_000)) + b"}", "20000 values",
    ),
    "compose: variables in variables": (
        b"services: {a: {image: x, command: '" + b"${A:-" * 45_000 + b"}" * 30_000 + b"'}}",
        "is not closed",
    ),
    "compose: variables nested too deep": (
        b"services: {a: {image: x, command: '" + b"${A:-" * 40_000 + b"}" * 40_000 + b"'}}",
        "nested more than 20 levels",
    ),
    "compose: many variables": (
        b"services: {a: {image: x, command: '" + b"$A" * 100_000 + b"'}}", "`command` is empty",
    ),
    "compose: many variables of different names": (
        b"services: {a: {image: x, command: [" + b",".join(b"'$v%d'" % n for n in range(12_000))
        + b"]}}", None,
    ),
    "compose: many wrong variables": (
        b"services: {a: {image: x, command: [" + b"'${A?no}'," * 18_000 + b"]}}", "A has no value",
    ),
    "compose: a default again and again": (
        b"x-a: &a '${A:-" + b"x" * 20_000 + b"}${A:-" + b"x" * 20_000
        + b"}'\nservices: {a: {image: x, command: [*a,*a,*a,*a,*a]}}", None,
    ),
    "compose: many profiles": (
        b"services: {a: {image: x, profiles: [" + b"p," * 19_000 + b"]}}", "no service of",
    ),
    "compose: many secrets": (
        b"services: {a: {image: x, secrets: [" + b"s," * 9_000
        + b"]}}\nsecrets: {s: {file: /no}}",
        "cannot read the secret",
    ),
    "compose: braces": (
        b"services: {a: {image: x, command: '" + b"{" * 60_000 + b"$" + b"}" * 60_000 + b"'}}",
        None,
    ),
    "literals without end": (b"image: x\ncommand: '" + b"${a}" * 30_000 + b"'\n", None),
    "more than a file may have": (b"#" * (MAX_BYTES + 1), "256 KiB"),
}  # fmt: skip


def made() -> Iterator[tuple[str, bytes, str | None]]:
    """Yield the name, bytes and error of each."""
    for name, (data, said) in MADE.items():
        yield name, data, said
