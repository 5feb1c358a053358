"""Cases of compose-go's own tests (Apache-2.0): its packages dotenv and template.

Env files: (text, what the shell has, the variables) or the start of what is wrong. Templates: text
and what it becomes where FOO is `first`, BAR is empty and JSON is `{"json":2}`.
"""

from __future__ import annotations

PLAIN = """OPTION_A=1
OPTION_B=2
OPTION_C= 3
OPTION_D =4
OPTION_E = 5
456 = ABC
OPTION_F =\x20
OPTION_G=
OPTION_H = my string # Inline comment
"""
PLAIN_RESULT = {
    "OPTION_A": "1", "OPTION_B": "2", "OPTION_C": "3", "OPTION_D": "4", "OPTION_E": "5",
    "456": "ABC", "OPTION_F": "", "OPTION_G": "", "OPTION_H": "my string",
}  # fmt: skip
QUOTED = r"""OPTION_A='1'
OPTION_B='2'
OPTION_C=''
OPTION_D='\n'
OPTION_E="1"
OPTION_F="2"
OPTION_G=""
OPTION_H="\n"
OPTION_I = "echo 'asd'" # Inline comment
OPTION_J = 'first line
second line
third line
and so on'
OPTION_K='Let\'s go!'
OPTION_Z = "last value"
"""
QUOTED_RESULT = {
    "OPTION_A": "1", "OPTION_B": "2", "OPTION_C": "", "OPTION_D": "\\n", "OPTION_E": "1",
    "OPTION_F": "2", "OPTION_G": "", "OPTION_H": "\n", "OPTION_I": "echo 'asd'",
    "OPTION_J": "first line\nsecond line\nthird line\nand so on",
    "OPTION_K": "Let's go!", "OPTION_Z": "last value",
}  # fmt: skip
UNQUOTED = """OPTION_A = "some quoted phrase"
OPTION_B=first one with an unquoted phrase
OPTION_C = then another one with an unquoted phrase
OPTION_D = then another one with an unquoted phrase special \u00e8 char
OPTION_E = "then another one quoted phrase"
"""
UNQUOTED_RESULT = {
    "OPTION_A": "some quoted phrase",
    "OPTION_B": "first one with an unquoted phrase",
    "OPTION_C": "then another one with an unquoted phrase",
    "OPTION_D": "then another one with an unquoted phrase special \u00e8 char",
    "OPTION_E": "then another one quoted phrase",
}
SUBSTITUTIONS = """OPTION_A=1
OPTION_B=${OPTION_A}
OPTION_C=$OPTION_B
OPTION_D=${OPTION_A}_${OPTION_B}
OPTION_E=${OPTION_NOT_DEFINED}
"""
DEFAULTS = SUBSTITUTIONS.replace("OPTION_A=1", "OPTION_A=${OPTION_A:-1}")


def options(a: str, b: str, d: str) -> dict[str, str]:
    return {"OPTION_A": a, "OPTION_B": b, "OPTION_C": b, "OPTION_D": d, "OPTION_E": ""}


FILES: list[tuple[str, dict[str, str], dict[str, str]]] = [
    (PLAIN, {}, PLAIN_RESULT),
    (QUOTED, {}, QUOTED_RESULT),
    (UNQUOTED, {}, UNQUOTED_RESULT),
    ("ONE=1\nTWO='2'\nTHREE = \"3\"", {}, {"ONE": "1", "TWO": "2", "THREE": "3"}),
    ("export OPTION_A=2\nexport OPTION_B='\\n'\n", {}, {"OPTION_A": "2", "OPTION_B": "\\n"}),
    ("export OPTION_A='postgres://localhost:5432/database?sslmode=disable'\n", {},
     {"OPTION_A": "postgres://localhost:5432/database?sslmode=disable"}),
    ("VAR.WITH.DOTS=dots\nVAR_WITH_UNDERSCORES=underscores\nVAR-WITH-DASHES=dashes\n", {},
     {"VAR.WITH.DOTS": "dots", "VAR_WITH_UNDERSCORES": "underscores", "VAR-WITH-DASHES": "dashes"}),
    (SUBSTITUTIONS, {}, options("1", "1", "1_1")),
    (SUBSTITUTIONS, {"OPTION_A": "5"}, options("1", "5", "5_5")),
    (DEFAULTS, {}, options("1", "1", "1_1")),
    (DEFAULTS, {"OPTION_A": "5"}, options("5", "5", "5_5")),
    ("foo=bar\nFROM_OS\nbar=baz\n", {"FROM_OS": "x"}, {"foo": "bar", "FROM_OS": "x", "bar": "baz"}),
    ("FROM_OS\n", {"FROM_OS": "x"}, {"FROM_OS": "x"}),
    ("VARIABLE_NOT_FOUND\n", {}, {}),
    ("TEST=$ME", {"ME": "YES"}, {"TEST": "YES"}),
    ("FOO=test\nBAR=$FOO", {}, {"FOO": "test", "BAR": "test"}),
    ("FOO=test\nBAR=${FOO}bar", {}, {"FOO": "test", "BAR": "testbar"}),
    ("BAR=$FOO", {}, {"BAR": ""}),
    ('FOO=test\nBAR="quote $FOO"', {}, {"FOO": "test", "BAR": "quote test"}),
    ("BAR='quote $FOO'", {}, {"BAR": "quote $FOO"}),
    (r'FOO="foo\$BAR"', {}, {"FOO": "foo$BAR"}),
    (r'FOO="foo\${BAR}"', {}, {"FOO": "foo${BAR}"}),
    ('FOO=test\nBAR="foo\\${FOO} ${FOO}"', {}, {"FOO": "test", "BAR": "foo${FOO} test"}),
    ('TEST_URLS="stratum+tcp://a.com:3333\nstratum+tcp://b.com:443"', {},
     {"TEST_URLS": "stratum+tcp://a.com:3333\nstratum+tcp://b.com:443"}),
    ("a=b\na[1]=c\na.propertyKey=d\n\u00e1rv\u00edz-T\u00dcK=\u00c1RV\u00cdZ", {},
     {"a": "b", "a[1]": "c", "a.propertyKey": "d", "\u00e1rv\u00edz-T\u00dcK": "\u00c1RV\u00cdZ"}),
    ("\n", {}, {}), ("\r\n", {}, {}), ("\t\t ", {}, {}), ("# Comment", {}, {}),
    ("\t # comment", {}, {}),
    ('\nENV_HOSTNAME=localhost\nENV_MY_URL="http://${ENV_HOSTNAME}"\n', {"ENV_HOSTNAME": "h.local"},
     {"ENV_HOSTNAME": "localhost", "ENV_MY_URL": "http://h.local"}),
]  # fmt: skip

LINES: list[tuple[str, str, str]] = [
    ("FOO=bar", "FOO", "bar"),
    ("FOO =bar", "FOO", "bar"),
    ("FOO= bar", "FOO", "bar"),
    ('FOO="bar"', "FOO", "bar"),
    ("FOO='bar'", "FOO", "bar"),
    (r'FOO="escaped\"bar"', "FOO", 'escaped"bar'),
    (r'FOO="\"quoted\""', "FOO", '"quoted"'),
    ("FOO=\"'d'\"", "FOO", "'d'"),
    ("OPTION_A: 1", "OPTION_A", "1"),
    ("OPTION_A: Foo=bar", "OPTION_A", "Foo=bar"),
    ("OPTION_A=1:B", "OPTION_A", "1:B"),
    ("export OPTION_A=2", "OPTION_A", "2"),
    ("export OPTION_B='\\n'", "OPTION_B", "\\n"),
    ("export exportFoo=2", "exportFoo", "2"),
    ("exportFOO=2", "exportFOO", "2"),
    ("export_FOO =2", "export_FOO", "2"),
    ("export.FOO= 2", "export.FOO", "2"),
    ("export\tOPTION_A=2", "OPTION_A", "2"),
    ("  export OPTION_A=2", "OPTION_A", "2"),
    ("\texport OPTION_A=2", "OPTION_A", "2"),
    ('export OPTION_A="export A"', "OPTION_A", "export A"),
    (r'FOO="bar\nbaz"', "FOO", "bar\nbaz"),
    ("FOO=a\\tb", "FOO", "a\\tb"),
    ('FOO="a\\tb"', "FOO", "a\tb"),
    (r'KEY="Z\aZ\bZ\fZ\nZ\rZ\tZ\vZ\\Z\0123Z"', "KEY", "Z\aZ\bZ\fZ\nZ\rZ\tZ\vZ\\ZSZ"),
    ("FOO.BAR=foobar", "FOO.BAR", "foobar"),
    ("FOO=foobar=", "FOO", "foobar="),
    ("FOO=bar ", "FOO", "bar"),
    ("FOO=bar # this is foo", "FOO", "bar"),
    ("FOO=bar #this is foo", "FOO", "bar"),
    ("FOO=bar #", "FOO", "bar"),
    ("FOO=123#not-an-inline-comment", "FOO", "123#not-an-inline-comment"),
    ('FOO="bar#baz"', "FOO", "bar#baz"),
    ('FOO="bar#baz"#', "FOO", "bar#baz"),
    ('FOO="bar#baz" # comment', "FOO", "bar#baz"),
    ("FOO='bar#baz' # comment", "FOO", "bar#baz"),
    ('FOO="bar#baz#bang" # comment', "FOO", "bar#baz#bang"),
    ('FOO="ba#r"', "FOO", "ba#r"),
    ("FOO='ba#r'", "FOO", "ba#r"),
    (r'FOO="bar\n\ b\az"', "FOO", "bar\n\\ b\az"),
    (r'FOO="bar\\\n\ b\az"', "FOO", "bar\\\n\\ b\az"),
    (r'FOO="bar\\r\ b\az"', "FOO", "bar\\r\\ b\az"),
    (r'FOO="bar\nbaz\\"', "FOO", "bar\nbaz\\"),
    (" KEY =value", "KEY", "value"),
    ("   KEY=value", "KEY", "value"),
    ("\tKEY=value", "KEY", "value"),
    (r'KEY="\0123"', "KEY", "S"),
    (r'KEY="\x07"', "KEY", r"\x07"),
    (r'KEY="\u12e4"', "KEY", r"\u12e4"),
    (r'KEY="\U00101234"', "KEY", r"\U00101234"),
]
"""A line of an env file, the name and the value."""

WRONG: list[tuple[str, int, str]] = [
    ("lol$wut", 1, "is not a variable"),
    ("%!(EXTRA string)=foo", 1, "is not a variable"),
    ('# some comments\nfoo="\n  a\n  multine\n  value\n"\nINVALID LINE\nzot=qix', 7, "has a space"),
    *(
        (f"KEY={value}", 1, "is not closed")
        for value in (
            '"',
            '"value',
            '"value\\"',
            "\"value'",
            "'",
            "'value",
            "'value\\'",
            "'value\"",
        )
    ),
]
"""An env file, the line that is wrong, and what is said of it."""

TEMPLATES: list[tuple[str, str]] = [
    ("$${foo}", "${foo}"),
    ("foo", "foo"),
    ("a $ string", "a $ string"),
    ("^REGEX$", "^REGEX$"),
    ("$}", "$}"),
    ("$", "$"),
    ("$FOO-bar", "first-bar"),
    ("This ${missing} var", "This  var"),
    ("This ${BAR} var", "This  var"),
    ("This $FOO var", "This first var"),
    ("This ${FOO} var", "This first var"),
    ("ok ${missing:-def}", "ok def"),
    ("ok ${missing-def}", "ok def"),
    ("${A:+${A},}B", "B"),
    ("${A:-${B}}", ""),
    ("${FOO?${B}}", "first"),
    ("ok ${BAR:-def}", "ok def"),
    ("ok ${FOO:-def}", "ok first"),
    ("ok ${BAR-def}", "ok "),
    ("ok ${UNSET_VAR:+presence_value}", "ok "),
    ("ok ${UNSET_VAR+presence_value}", "ok "),
    ("ok ${FOO:+presence_value}", "ok presence_value"),
    ("ok ${FOO+presence_value}", "ok presence_value"),
    ("ok ${BAR+presence_value}", "ok presence_value"),
    ("ok ${BAR:+presence_value}", "ok "),
    ("ok ${BAR:-/non:-alphanumeric}", "ok /non:-alphanumeric"),
    ("-ok ${BAR:-defaultValue}", "-ok defaultValue"),
    ("+ok ${UNSET:-${BAR-defaultValue}}", "+ok "),
    ("-ok ${FOO:-defaultValue}", "-ok first"),
    (":-ok ${UNSET-defaultValue}", ":-ok defaultValue"),
    (":-ok ${BAR-defaultValue}", ":-ok "),
    (":?ok ${BAR-defaultValue}", ":?ok "),
    (":?ok ${BAR:-defaultValue}", ":?ok defaultValue"),
    (":+ok ${BAR:-defaultValue}", ":+ok defaultValue"),
    ("+ok ${BAR-defaultValue}", "+ok "),
    ("?ok ${BAR:-defaultValue}", "?ok defaultValue"),
    ("ok ${UNSET_VAR-$FOO}", "ok first"),
    ("ok ${UNSET_VAR-${FOO}}", "ok first"),
    ("ok ${UNSET_VAR-${FOO} ${FOO}}", "ok first first"),
    ("ok ${BAR:-$FOO}", "ok first"),
    ("ok ${BAR:-${FOO}}", "ok first"),
    ("ok ${BAR:-${FOO} ${FOO}}", "ok first first"),
    ("ok ${BAR+$FOO}", "ok first"),
    ("ok ${BAR+$FOO ${FOO:+second}}", "ok first second"),
    ("ok ${FOO:?err}", "ok first"),
    ("ok ${FOO?err}", "ok first"),
    ("ok ${BAR?err}", "ok "),
    ("ok ${SUBDOMAIN:-redis}.${FOO:?}", "ok redis.first"),
    ("${UNSET_VAR-myerror?msg}", "myerror?msg"),
    ("${FOO?bar-baz}", "first"),
    ("${BAR:-default_value_for_empty_var}", "default_value_for_empty_var"),
    ("${UNSET_VAR-default_value_for_unset_var}", "default_value_for_unset_var"),
    ("${VARNAME-va:-lu:?e}", "va:-lu:?e"),
    ("${VARNAME-va+lu?e}", "va+lu?e"),
    ("${FOO+va:+lue}", "va:+lue"),
    ("${FOO:+va:?lu:-e}", "va:?lu:-e"),
    ('ok ${missing:-{"json":1}}', 'ok {"json":1}'),
    ('ok ${missing-{"json":1}}', 'ok {"json":1}'),
    ('ok ${JSON:-{"json":1}}', 'ok {"json":2}'),
    ('ok ${JSON-{"json":1}}', 'ok {"json":2}'),
]

INVALID = ["${", "${}", "${ }", "${ foo}", "${foo }", "${foo!}"]

REQUIRED: list[tuple[str, str]] = [
    ("not ok ${UNSET_VAR:?Mandatory Variable Unset}", "UNSET_VAR has no value: Mandatory"),
    ("not ok ${BAR:?Mandatory Variable Empty}", "BAR has no value: Mandatory Variable Empty"),
    ("not ok ${UNSET_VAR:?}", "UNSET_VAR has no value"),
    ("not ok ${UNSET_VAR?Mandatory Variable Unset}", "UNSET_VAR has no value: Mandatory"),
    ("not ok ${UNSET_VAR?}", "UNSET_VAR has no value"),
    ("not ok ${UNSET_VAR:?Mandatory Variable ${FOO}}", "no value: Mandatory Variable first"),
    ("not ok ${UNSET_VAR?Mandatory Variable ${FOO}}", "no value: Mandatory Variable first"),
    ("${UNSET_VAR?bar-baz}", "no value: bar-baz"),
]
