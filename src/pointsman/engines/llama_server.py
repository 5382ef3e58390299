"""One llama.cpp server in a process of its own: `python -m pointsman.engines.llama_server --help`.

The process loads one GGUF file, speaks OpenAI on 127.0.0.1 only, and writes its address to a file
once it answers (port 0 lets the system choose). SIGTERM ends it at once. It has a session of its own
and outlives the process that started it, unless `--parent-pid` ties it to that one.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

HOST = "127.0.0.1"
PARENT_CHECK_S = 1.0
LOG_WARNINGS = 2
MIN_SPARE_HTTP_THREADS = 4


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What one server runs with.

    Attributes:
        model: the GGUF file.
        name: the model name it answers to.
        address_file: where its base URL is written when it is ready.
        port: 0 for any free one.
        threads: compute threads.
        slots: requests that run at once; more wait inside the server.
        context_tokens: prompt and answer of one slot.
        prompt_cache_mib: memory for prompts that left their slot; 0 for none. A request may
            still send `cache_prompt: false`.
        parent_pid: end when this process is no longer the parent; None to outlive it.
    """

    model: Path
    name: str
    address_file: Path
    port: int = 0
    threads: int = 1
    slots: int = 4
    context_tokens: int = 2048
    prompt_cache_mib: int = 256
    parent_pid: int | None = None

    def arguments(self) -> list[str]:
        """The command line from which `parse` makes these options again."""
        return [
            f"--{name.replace('_', '-')}={value}" for name, value in asdict(self).items() if value is not None
        ]


def parse(arguments: Sequence[str] | None = None) -> ServerOptions:
    """Options from a command line; ends the process with a usage message if they are wrong."""
    parser = argparse.ArgumentParser(prog="python -m pointsman.engines.llama_server", description=__doc__)
    parser.add_argument("--model", type=Path, required=True, help="a GGUF file")
    parser.add_argument("--name", required=True, help="the model name it answers to")
    parser.add_argument("--address-file", type=Path, required=True, help="receives the base URL when ready")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--slots", type=int, default=4, help="requests that run at once")
    parser.add_argument("--context-tokens", type=int, default=2048, help="tokens of one slot")
    parser.add_argument("--prompt-cache-mib", type=int, default=256)
    parser.add_argument("--parent-pid", type=int, help="end when this process is no longer the parent")
    return ServerOptions(**vars(parser.parse_args(arguments)))


def common_params(options: ServerOptions) -> Any:
    """llama.cpp's parameters for `options`."""
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(options.model)
    params.model_alias = {options.name}
    params.hostnames = [HOST]
    params.port = options.port
    params.n_parallel = options.slots
    params.n_ctx = options.slots * options.context_tokens
    params.fit_params = False  # the context is what was asked for, or loading fails
    params.cpuparams.n_threads = options.threads
    params.cpuparams_batch.n_threads = options.threads
    # A streaming answer or an idle kept-alive connection holds a thread; /health needs one too.
    params.n_threads_http = 2 * options.slots + MIN_SPARE_HTTP_THREADS
    params.cache_prompt = True
    params.cache_ram_mib = options.prompt_cache_mib
    params.endpoint_metrics = True
    params.endpoint_slots = True
    params.ui = False
    params.cors_origins = f"http://{HOST}"  # no web page elsewhere may read the answers
    params.verbosity = LOG_WARNINGS
    return params


def serve(options: ServerOptions) -> None:
    """Load the model, write the address, and stay until SIGTERM or the parent's end.

    Raises: RuntimeError from llama.cpp when the file can't be loaded or the port is in use.
    """
    # OpenMP reads this when it is loaded. Its default, spinning, brings throughput to under one
    # token a second as soon as another process wants the core.
    os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    import xllamacpp

    server = xllamacpp.Server(common_params(options))
    partial = options.address_file.with_suffix(".partial")
    partial.write_text(json.dumps({"pid": os.getpid(), "base_url": server.listening_address}))
    partial.replace(options.address_file)
    while options.parent_pid is None or os.getppid() == options.parent_pid:
        time.sleep(PARENT_CHECK_S)


def main() -> None:
    """Run one server from the command line."""
    options = parse()
    if os.getpgrp() != os.getpid():
        os.setsid()  # a terminal that closes, or its Ctrl-C, does not reach the fleet
    try:
        serve(options)
    except RuntimeError as error:
        raise SystemExit(f"llama.cpp could not start with {options}: {error}") from error


if __name__ == "__main__":
    main()
