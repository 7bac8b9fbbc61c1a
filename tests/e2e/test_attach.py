"""`cmt attach` in a real terminal, with IPython and without it, against a real devnet."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.e2e

ALICE = "0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266"
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[A-Za-z]|\x1b[=>]|\x1b\][^\x07]*\x07")


def command(devnet, *arguments):
    return [sys.executable, "-m", "cybermiles", "attach", "--rpc", devnet.url, *arguments]


class Terminal:
    """The console at the other end of a pseudo-terminal."""

    def __init__(self, devnet, home, *, blocked=()):
        startup = "import sys\n" + "".join(f"sys.modules[{name!r}] = None\n" for name in blocked)
        (home / "sitecustomize.py").write_text(startup)
        self.end, other = pty.openpty()
        environment = os.environ | {
            "TERM": "xterm",
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "HOME": str(home),
            "IPYTHONDIR": str(home / "ipython"),
            "PYTHONPATH": os.pathsep.join([str(home), str(Path.cwd())]),
        }
        self.process = subprocess.Popen(
            command(devnet), stdin=other, stdout=other, stderr=other, env=environment, start_new_session=True
        )
        os.close(other)
        self.seen = b""

    def until(self, text):
        """Read until the console has shown the text; its end fails the test."""
        while text not in _ESCAPES.sub(b"", self.seen):
            try:
                more = os.read(self.end, 4096)
            except OSError:
                more = b""
            assert more, self.seen.decode(errors="replace")
            self.seen += more
        seen, self.seen = _ESCAPES.sub(b"", self.seen), b""
        return seen.decode(errors="replace")

    def type(self, text):
        os.write(self.end, text.encode())

    def end_of_session(self):
        """Read what is left, since a terminal's last output must go somewhere; return the exit code."""
        while True:
            try:
                if not os.read(self.end, 4096):
                    break
            except OSError:
                break
        return self.process.wait()

    def close(self):
        self.process.kill()
        self.process.wait()
        os.close(self.end)


@pytest.mark.parametrize(
    ("blocked", "prompts"), [((), [f"In [{number}]:" for number in range(1, 7)]), (("IPython",), [">>> "] * 6)]
)
def test_a_person_asks_signs_and_leaves(devnet, tmp_path, blocked, prompts):
    before = int(devnet.rpc("eth_getBalance", "0x" + "61" * 20, "latest"), 16)
    terminal = Terminal(devnet, tmp_path, blocked=blocked)
    shown = []

    def next_prompt():
        shown.append(terminal.until(prompts[len(shown)].encode()))
        return shown[-1]

    try:
        banner = next_prompt()
        assert "chain 181818" in banner
        assert ("IPython is not installed" in banner) == bool(blocked)
        for text, answer in (
            ("print('supply', staking.functions.supply().call()[0] > 10**26)", "supply True"),
            (f"print('signs', unlock('{ALICE}'))", f"signs {ALICE}"),
            ("r = w3.eth.send_transaction({'to': '0x' + '61' * 20, 'value': 7})", ""),
            ("print('status', w3.eth.wait_for_transaction_receipt(r).status + 10)", "status 11"),
        ):
            terminal.type(text + "\r")
            assert answer in next_prompt()
        terminal.type("\x04")
        assert terminal.end_of_session() == 0
    finally:
        terminal.close()
    assert int(devnet.rpc("eth_getBalance", "0x" + "61" * 20, "latest"), 16) == before + 7


def test_code_is_run_without_a_terminal(devnet):
    done = subprocess.run(
        command(
            devnet, "--exec", "v = staking.functions.validators(0, 10).call()", "--exec", "[x[0] for x in v]", "--json"
        ),
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["result"] == [ALICE]
