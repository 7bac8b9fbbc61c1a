"""Each rule finds what was planted, and leaves alone what is right."""

from __future__ import annotations

import pytest

from tests.architecture import source_rules as rules

LONG = "def f():\n" + "    g()\n" * 41


@pytest.mark.parametrize(
    "source",
    [
        "x = 1.0",
        "x = 1e18",
        "x = 2j",
        "x = a / b",
        "x /= 2",
        "x = float(y)",
        "def f(x: float) -> int: ...",
        "import math",
        "import os, decimal",
        "from math import sqrt",
        "from decimal import Decimal",
    ],
)
def test_inexact_numbers_are_found(source):
    assert len(rules.inexact_numbers(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "x = 10**18 // 3",
        "p = here / 'genesis' / f'{name}.json'",
        "x = divmod(a, b)",
        "x = '1.5 / 2'",
        "from cybermiles.chain.fees import decimal",
        "x = p % 3",
    ],
)
def test_integers_are_left_alone(source):
    assert rules.inexact_numbers(source) == []


@pytest.mark.parametrize(
    "source",
    [
        "for x in {1, 2}: f(x)",
        "for x in set(y): f(x)",
        "for x in frozenset(y) | z: f(x)",
        "seen = set()\nfor x in seen: f(x)",
        "seen: set[bytes] = g()\nfor x in seen: f(x)",
        "def f(seen: frozenset[bytes]):\n    return [x for x in seen]",
        "def f(seen: 'set[bytes]'):\n    return {x: 1 for x in seen}",
        "self.dirty = {1}\nlist(self.dirty)",
        "touched = {x for x in y}\nb''.join(touched)",
        "f(*{1, 2})",
        "seen = set()\nseen.pop()",
        "tuple(set(a).difference(b))",
        "changed = set(a) - set(b)\nfor x in changed: f(x)",
    ],
)
def test_iteration_over_a_set_is_found(source):
    assert len(rules.set_iterations(source)) == 1


@pytest.mark.parametrize(
    "source",
    [
        "for x in sorted({1, 2}): f(x)",
        "seen = set()\nif x in seen: seen.add(y)",
        "big = {f(x) for x in {1, 2}}",
        "order = dict.fromkeys(y)\nfor x in order: f(x)",
        "items = [1]\nitems.pop()\nfor x in items: f(x)",
        "n = len({1, 2})",
    ],
)
def test_ordered_iteration_is_left_alone(source):
    assert rules.set_iterations(source) == []


@pytest.mark.parametrize(
    ("rule", "bad", "good"),
    [
        (rules.missing_story, "x = 1", '"""Story."""\nx = 1'),
        (rules.long_file, "x = 1\n" * 401, "x = 1\n" * 400),
        (rules.long_functions, LONG, LONG.removesuffix("    g()\n")),
        (
            rules.long_functions,
            "def f():\n    g(\n" + "        x,\n" * 58 + "    )\n",
            "def f():\n    g(\n        x,\n    )\n",
        ),
        (
            rules.long_functions,
            f"class C:\n    async {LONG.replace('    g', '        g')}",
            "async def f():\n    g()\n",
        ),
        (rules.asserts, "def f(x):\n    assert x", "def f(x):\n    if not x:\n        raise E"),
        (rules.broad_handlers, "try: f()\nexcept: g()", "try: f()\nexcept ValueError: g()"),
        (rules.broad_handlers, "try: f()\nexcept Exception as e: g()", "try: f()\nexcept InvalidBlock as e: g()"),
        (rules.broad_handlers, "try: f()\nexcept (A, BaseException): g()", "try: f()\nexcept (A, B): g()"),
        (rules.broad_handlers, "try: f()\nexcept builtins.Exception: g()", "raise Exception"),
        (rules.broad_handlers, "with contextlib.suppress(Exception): f()", "with suppress(OSError): f()"),
        (rules.left_overs, "x = 1  # TODO later", "x = 1  # it lasts"),
        (rules.left_overs, '"""FIXME: story."""', "x = 'TODO'"),
    ],
)
def test_the_planted_fault_is_found_and_the_right_form_is_not(rule, bad, good):
    assert len(rule(bad)) == 1
    assert rule(good) == []
