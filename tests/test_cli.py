import os
import signal
import subprocess
import sys

import pytest
import typer
from typer.testing import CliRunner

from ganspect import __version__, cli
from ganspect.errors import BundleError, VerificationError
from ganspect.runtime.backends.tuning import Tuning

COMMANDS = ["demo", "train", "export", "calibrate", "evaluate", "screen", "run", "history"]
COMMANDS += ["build", "verify", "sign", "new-key", "bench", "doctor"]


@pytest.fixture
def terminal(monkeypatch) -> CliRunner:
    """Return a runner on a wide terminal without colours, so that no example is wrapped."""
    monkeypatch.setenv("COLUMNS", "250")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("TERM", "dumb")
    return CliRunner()


@pytest.fixture(autouse=True)
def _ends_by_an_exception(monkeypatch) -> None:
    # Where an earlier test left a camera's thread in its driver, a command would end this process at once.
    monkeypatch.setattr(cli, "_end", sys.exit)


@pytest.fixture
def ends_with(monkeypatch, capsys):
    """Return a function that runs `main` on a command that raises an error: exit status and standard error."""

    def run(error: Exception) -> tuple[int, str]:
        def app(*_: object, **__: object) -> None:
            raise error

        before = signal.getsignal(signal.SIGTERM)
        monkeypatch.setattr(cli, "app", app)
        try:
            with pytest.raises(SystemExit) as ended:
                cli.main()
        finally:
            signal.signal(signal.SIGTERM, before)
        return ended.value.code, capsys.readouterr().err

    return run


def _example(help_text: str) -> list[str]:
    lines = [line.strip(" │") for line in help_text.splitlines()]
    return next(line for line in lines if line.startswith("Example: ganspect ")).split()[2:]


def test_version_is_printed(terminal):
    result = terminal.invoke(cli.app, ["--version"])
    assert result.exit_code == 0
    assert result.stdout == f"ganspect {__version__}\n"


def test_help_names_every_command(terminal):
    result = terminal.invoke(cli.app, ["--help"])
    assert result.exit_code == 0
    assert [name for name in COMMANDS if name not in result.stdout] == []


def test_no_arguments_show_the_help(terminal):
    result = terminal.invoke(cli.app, [])
    assert "Usage" in result.output
    assert "screen" in result.output


def test_every_command_is_listed_here():
    assert sorted(typer.main.get_command(cli.app).commands) == sorted(COMMANDS)


@pytest.mark.parametrize("name", ["history", "run", "sign", "calibrate", "verify", "screen", "evaluate", "export"])
def test_the_help_breaks_no_choice_or_metavar_on_eighty_columns(terminal, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    shown = terminal.invoke(cli.app, [name, "--help"]).stdout.replace(",", " ").split()
    shown = [word.strip(".;:()") for word in shown]
    for param in typer.main.get_command(cli.app).commands[name].params:
        assert [word for word in (param.metavar or "").split(",") if word and word not in shown] == []
    if name == "history":
        assert {"undecided", "anomalous", "parquet", "report"} <= set(shown)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_a_command_has_an_example_that_parses(terminal, name):
    result = terminal.invoke(cli.app, [name, "-h"])
    assert result.exit_code == 0
    program, *arguments = _example(result.stdout)
    command = typer.main.get_command(cli.app).commands[name]
    assert program == name
    context = command.make_context(name, arguments)
    assert context.command.name == name


def test_an_unknown_command_ends_with_status_2(terminal):
    assert terminal.invoke(cli.app, ["inspect"]).exit_code == 2


def test_an_unknown_option_ends_with_status_2(terminal):
    assert terminal.invoke(cli.app, ["screen", "bundle", "images", "--fast"]).exit_code == 2


def test_an_impossible_mode_names_the_possible_ones(terminal):
    result = terminal.invoke(cli.app, ["screen", "bundle", "images", "--mode", "both"])
    assert result.exit_code == 2
    assert "search" in result.output
    assert "encoder" in result.output


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["inspect"], "no such command 'inspect'; see: ganspect --help"),
        (["screen"], "missing argument 'BUNDLE'; see: ganspect screen --help"),
        (
            ["screen", "b", "s", "--fast"],
            "no such option: --fast (Possible options: --steps); see: ganspect screen --help",
        ),
        (["screen", "b", "s", "--mode", "x"], "'--mode': 'x' is not one of 'search', 'encoder'; see: ganspect screen"),
        (["screen", "b", "s", "--budget-ms", "-1"], "invalid value for '--budget-ms'"),
    ],
)
def test_a_wrong_command_line_is_one_sentence_and_status_2(monkeypatch, capsys, given, said):
    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(sys, "argv", ["ganspect", *given])
    try:
        with pytest.raises(SystemExit) as ended:
            cli.main()
    finally:
        signal.signal(signal.SIGTERM, before)
    printed = capsys.readouterr().err
    assert ended.value.code == 2
    assert said in printed
    assert printed.count("\n") == 1


@pytest.mark.parametrize(
    ("target", "command", "place"),
    [
        ("ganspect.runtime.screening.screen_source", ["screen", "b", "s"], 3),
        ("ganspect.runtime.bench.bench_bundle", ["bench", "b", "--out", "o"], 2),
    ],
)
def test_threads_spinning_and_arena_reach_what_runs(terminal, monkeypatch, target, command, place):
    got = []
    monkeypatch.setattr(target, lambda *arguments: got.append(arguments[place].tuning))
    for flags in ([], ["--threads", "1", "--no-spinning", "--no-arena"]):
        assert terminal.invoke(cli.app, [*command, *flags]).exit_code == 0
    assert got == [Tuning(), Tuning(threads=1, spinning=False, arena=False)]


def test_an_error_is_one_sentence_and_status_2(ends_with):
    status, printed = ends_with(BundleError("bundle lacks score.onnx; copy the bundle again"))
    assert status == 2
    assert printed == "ganspect: bundle lacks score.onnx; copy the bundle again\n"


def test_a_failed_verification_is_one_sentence_and_status_1(ends_with):
    status, printed = ends_with(VerificationError("step 5 differs by 0.1"))
    assert status == 1
    assert printed == "ganspect: step 5 differs by 0.1\n"


def test_an_unforeseen_error_keeps_its_traceback(monkeypatch):
    def app(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(cli, "app", app)
    try:
        with pytest.raises(ZeroDivisionError):
            cli.main()
    finally:
        signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_interrupted_command_cleans_up_and_prints_no_traceback(tmp_path, number):
    program = (
        "import os, sys\nfrom pathlib import Path\nfrom ganspect import cli\nfrom ganspect.files import new_folder\n"
        "@cli.app.command()\n"
        "def work(out: Path) -> None:\n"
        "    with new_folder(out, what='manifest.json') as partial:\n"
        "        (partial / 'manifest.json').write_text('half')\n"
        f"        os.kill(os.getpid(), {int(number)})\n"
        "sys.argv = ['ganspect', 'work', sys.argv[1]]\n"
        "cli.main()\n"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "bundle")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "NO_COLOR": "1"})
    assert ended.returncode not in (0, 2)
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_command_ends_where_a_cameras_thread_hangs_in_its_driver():
    program = (
        "import sys, threading\n"
        "threading.Thread(target=threading.Event().wait, name='camera left').start()\n"
        "from ganspect.cli import main\n"
        "sys.argv = ['ganspect', 'inspect']\n"
        "main()\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert "no such command 'inspect'" in ended.stderr
