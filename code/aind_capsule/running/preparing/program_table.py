"""Programs that run another program: interpreters and launchers, and the options that they take.

Read by `launched_program`. What is not listed here is a program of its own. Only options that take
an operand are listed, for every other option stands alone. Source: the programs' manual pages.
"""

from __future__ import annotations

from enum import Enum, auto

from aind_capsule.frozen import frozen


class Role(Enum):
    """What an option's operand is."""

    SKIP = auto()  # a value, in the rest of the word or in the next one
    PAIR = auto()  # two values, in the next two words
    GLUED = auto()  # a value that can stand in the rest of the word only
    CODE = auto()
    STATEMENT = auto()  # MATLAB code, which often is the name of a script
    MODULE = auto()
    SCRIPT = auto()
    COMMAND = auto()  # a command line in one word (`env -S`)
    FOLDER = auto()  # where the program is started


@frozen
class OptionTable:
    """The options of one program.

    Attributes:
        roles: What the operand of an option is, by option.
        has_clusters: Whether `-ab` is `-a -b`; else it is one option, as java and MATLAB have it.
    """

    roles: dict[str, Role]
    has_clusters: bool = True


@frozen
class Launcher:
    """A program that is given another command.

    Attributes:
        options: Its own options.
        operands: How many words stand between its options and the command.
        takes_assignments: Whether `NAME=value` may stand before the command.
        runs_python: Whether the command may be a Python script, without an interpreter.
        is_behind_dashes: Whether the command stands behind `--`, wherever that is.
    """

    options: OptionTable
    operands: int = 0
    takes_assignments: bool = False
    runs_python: bool = False
    is_behind_dashes: bool = False


def _options(
    skip: str = "",
    *,
    pair: str = "",
    glued: str = "",
    code: str = "",
    statement: str = "",
    module: str = "",
    script: str = "",
    command: str = "",
    folder: str = "",
    has_clusters: bool = True,
) -> OptionTable:
    """Return a table of options that are given as words, by their role."""
    groups = (
        (Role.SKIP, skip),
        (Role.PAIR, pair),
        (Role.GLUED, glued),
        (Role.CODE, code),
        (Role.STATEMENT, statement),
        (Role.MODULE, module),
        (Role.SCRIPT, script),
        (Role.COMMAND, command),
        (Role.FOLDER, folder),
    )
    roles = {word: role for role, words in groups if words for word in words.split()}
    return OptionTable(roles, has_clusters)


_PYTHON = _options("-X -W --check-hash-based-pycs", code="-c", module="-m")
_TORCHRUN = _options(
    "--nnodes --nproc-per-node --nproc_per_node --rdzv-backend --rdzv_backend --rdzv-endpoint"
    " --rdzv_endpoint --rdzv-id --rdzv_id --rdzv-conf --rdzv_conf --max-restarts --max_restarts"
    " --monitor-interval --monitor_interval --start-method --start_method --role --log-dir"
    " --log_dir -r --redirects -t --tee --node-rank --node_rank --master-addr --master_addr"
    " --master-port --master_port --local-addr --local_addr",
    module="-m --module",
)
_NOTEBOOK = _options(
    "--to --output --output-dir --config --template --template-file --nbformat --log-level --post"
    " --writer --timeout --startup_timeout --inplace-timeout --kernel_name",
    has_clusters=False,
)
_COVERAGE = _options(
    "--context --data-file --include --omit --rcfile --source --concurrency", module="-m"
)

_OCTAVE = _options("-p --path --exec-path --image-path --doc-cache-file", statement="--eval")
_LITTLER = _options("-l --libraries", code="-e --eval", has_clusters=False)
_R = _options("-g --gui -d --debugger", code="-e", script="-f --file", has_clusters=False)
_PAPERMILL = _options(
    "-f --parameters_file -y --parameters_yaml -b --parameters_base64 -k --kernel -l --language"
    " --engine --cwd --start-timeout --execution-timeout --log-level --autosave-cell-every"
    " --stdout-file --stderr-file",
    pair="-p --parameters -r --parameters_raw",
)
_KERNPROF = _options("-o --outfile -s --setup -p --prof-mod -u --unit", module="-m")
_PLAIN = _options()
_APPTAINER = _options(
    "-B --bind -H --home -W --workdir --pwd --cwd --env --env-file -o --overlay -S --scratch"
    " --nvccli-path --network --security --mount"
)
_NBCONVERT = {f"jupyter-{word}": _NOTEBOOK for word in ("nbconvert", "execute", "run")}
#: Programs that run a script, by their names without a version: the first word that is no option.
INTERPRETERS: dict[str, OptionTable] = {
    "python": _PYTHON,
    "pythonw": _PYTHON,
    "pypy": _PYTHON,
    "ipython": _options("--profile --ipython-dir", code="-c", module="-m", has_clusters=False),
    "Rscript": _options("-g --gui", code="-e", has_clusters=False),
    "R": _R,
    "littler": _LITTLER,
    "r": _LITTLER,
    "julia": _options(
        "-p -t -J -L -H -C --procs --threads --sysimage --load --home --cpu-target --machine-file",
        glued="-O -g",
        code="-e -E --eval --print",
        module="-m --module",
    ),
    "perl": _options("-I", glued="-M -m -i -x -F -V -d -D", code="-e -E"),
    "ruby": _options("-I -r -C -E", glued="-W -K -i -x -F -T", code="-e"),
    "node": _options(
        "-r --require --import --loader --experimental-loader -C --conditions --title",
        code="-e --eval -p --print",
    ),
    "octave": _OCTAVE,
    "octave-cli": _OCTAVE,
    "matlab": _options(
        "-logfile -licmode -c", statement="-batch -r", folder="-sd", has_clusters=False
    ),
    "java": _options(
        "-cp -classpath --class-path -p --module-path --add-modules --add-opens --add-exports",
        script="-jar",
        module="-m --module",
        has_clusters=False,
    ),
    "fish": _options(
        "-C --init-command -d --debug -o --debug-output -f --features", code="-c --command"
    ),
    "csh": _options(code="-c"),
    "tcsh": _options(code="-c"),
    "papermill": _PAPERMILL,
    "sage": _options(code="-c", has_clusters=False),
    "lua": _options("-l", code="-e"),
    "wine": _PLAIN,
    "wine64": _PLAIN,
    "torchrun": _TORCHRUN,
    "kernprof": _KERNPROF,
    **_NBCONVERT,
}

#: Interpreters that are a word of another program. They are looked for before launchers.
SUBCOMMAND_INTERPRETERS: dict[tuple[str, ...], OptionTable] = {
    ("R", "CMD", "BATCH"): _R,
    ("jupyter", "nbconvert"): _NOTEBOOK,
    ("jupyter", "execute"): _NOTEBOOK,
    ("jupyter", "run"): _NOTEBOOK,
    ("coverage", "run"): _COVERAGE,
    ("apptainer", "run"): _APPTAINER,
    ("singularity", "run"): _APPTAINER,
    ("mprof", "run"): _options("-T --interval -o --output --backend"),
    ("scalene", "run"): _options("-o --outfile --profile-interval", has_clusters=False),
    ("quarto", "render"): _options("--to -t --output -o --output-dir -P --execute-params"),
    ("streamlit", "run"): _options(has_clusters=False),
    ("memray", "run"): _options("-o --output -p --live-port", code="-c", module="-m"),
    ("accelerate", "launch"): _options(
        "--config_file --num_processes --num_machines --machine_rank --main_process_ip"
        " --main_process_port --mixed_precision --gpu_ids --num_cpu_threads_per_process",
        module="-m --module",
        has_clusters=False,
    ),
}

#: Python modules that run a script, by their name behind `python -m`.
PYTHON_LAUNCHERS: dict[str, OptionTable] = {
    "cProfile": _options("-o -s", module="-m"),
    "profile": _options("-o -s"),
    "pdb": _options("-c", module="-m"),
    "trace": _options("-f --file -C --coverdir --ignore-module --ignore-dir", module="--module"),
    "debugpy": _options("--listen --connect --log-to --configure-subProcess", module="-m"),
    "torch.distributed.run": _TORCHRUN,
    "torch.distributed.launch": _TORCHRUN,
    "kernprof": _KERNPROF,
    "line_profiler": _KERNPROF,
    "memory_profiler": _options("-o"),
    "nbconvert": _NOTEBOOK,
    "papermill": _PAPERMILL,
    "scalene": _options("--outfile --profile-interval", has_clusters=False),
    "viztracer": _options("-o --output_file --tracer_entries", module="-m"),
    "mpi4py": _options(code="-c", module="-m"),
}

_UVX = Launcher(
    _options(
        "--from --with -w --python -p --index --default-index --index-url -i --find-links -f"
        " --cache-dir --env-file --directory --project --config-file",
    )
)
_MPI = _options(
    "-n -np -c -N -H -host --host -hostfile --hostfile -machinefile --machinefile -f -ppn"
    " --map-by --bind-to --rank-by -hosts -x",
    folder="-wdir --wdir",
    pair="-env -genv -mca --mca -gmca --gmca",
    has_clusters=False,
)
#: Programs that run a command, by base name and the words that follow it.
LAUNCHERS: dict[tuple[str, ...], Launcher] = {
    ("busybox",): Launcher(_PLAIN),
    ("env",): Launcher(
        _options("-u --unset -a --argv0", command="-S --split-string", folder="-C --chdir"),
        takes_assignments=True,
    ),
    ("nice",): Launcher(_options("-n --adjustment", glued="-0 -1 -2 -3 -4 -5 -6 -7 -8 -9")),
    ("ionice",): Launcher(_options("-c --class -n --classdata")),
    ("chrt",): Launcher(_options("-T --sched-runtime -P --sched-period -D --sched-deadline"), 1),
    ("taskset",): Launcher(_PLAIN, 1),
    ("numactl",): Launcher(_options(
        "-i --interleave -w --weighted-interleave -N --cpunodebind -C --physcpubind -m --membind"
        " -p --preferred",
    )),
    ("nohup",): Launcher(_PLAIN),
    ("setsid",): Launcher(_PLAIN),
    ("time",): Launcher(_options("-o --output -f --format")),
    ("gtime",): Launcher(_options("-o --output -f --format")),
    ("timeout",): Launcher(_options("-s --signal -k --kill-after"), 1),
    ("stdbuf",): Launcher(_options("-i --input -o --output -e --error")),
    ("unbuffer",): Launcher(_PLAIN),
    ("catchsegv",): Launcher(_PLAIN),
    ("prlimit",): Launcher(_PLAIN),
    ("flock",): Launcher(_options("-w --wait --timeout -E --conflict-exit-code"), 1),
    ("strace",): Launcher(_options("-o -e -s -p -u -P -a -b -I -O -S -U -X -E --output --trace")),
    ("valgrind",): Launcher(_PLAIN),
    ("xvfb-run",): Launcher(_options(
        "-e --error-file -f --auth-file -n --server-num -p --xauth-protocol -s --server-args"
        " -w --wait",
    )),
    ("dbus-run-session",): Launcher(_options("--config-file --dbus-daemon")),
    ("runuser",): Launcher(_options("-u --user -g --group -G --supp-group -w")),
    ("setpriv",): Launcher(_options("--reuid --regid --groups --inh-caps --ambient-caps"
        " --bounding-set --securebits --pdeathsig --selinux-label --apparmor-profile --ptracer")),
    ("chroot",): Launcher(_PLAIN, 1),
    ("unshare",): Launcher(_options("-R --root -w --wd -S --setuid -G --setgid --propagation")),
    ("cgexec",): Launcher(_options("-g")),
    ("systemd-run",): Launcher(_options("-p --property -u --unit --slice -E --setenv -M --machine"
        " -H --host --uid --gid --nice --description", folder="--working-directory")),
    ("perf", "stat"): Launcher(_options("-e --event -o --output -r --repeat -x --field-separator")),
    ("perf", "record"): Launcher(_options("-e --event -o --output -F --freq -c --count")),
    ("nsys", "profile"): Launcher(_options("-o --output -t --trace -s --sample -c --capture-range"
        " -d --duration -y --delay -f --force-overwrite")),
    ("ltrace",): Launcher(_options("-e -o -a -l -n -s -u -p -x -A -D -F")),
    ("vglrun",): Launcher(_options("-d -c -q -fps -samp -sp", has_clusters=False)),
    ("dotenv", "run"): Launcher(_PLAIN),
    ("uv", "tool", "run"): _UVX,
    ("pipx", "run"): Launcher(_options("--spec --python --index-url -i --pip-args")),
    ("hatch", "run"): Launcher(_PLAIN),
    ("sudo",): Launcher(
        _options(
            "-u --user -g --group -C -h --host -p --prompt -R --chroot -T", folder="-D --chdir"
        ),
        takes_assignments=True,
    ),
    ("doas",): Launcher(_options("-u -C")),
    ("gosu",): Launcher(_PLAIN, 1),
    ("su-exec",): Launcher(_PLAIN, 1),
    ("tini",): Launcher(_options("-p -e")),
    ("tini-static",): Launcher(_options("-p -e")),
    ("dumb-init",): Launcher(_options("-r --rewrite")),
    ("catatonit",): Launcher(_PLAIN),
    ("mpirun",): Launcher(_MPI),
    ("mpiexec",): Launcher(_MPI),
    ("orterun",): Launcher(_MPI),
    ("srun",): Launcher(_options(
        "-A --account -c --cpus-per-task -C --constraint -e --error -G --gpus --gres"
        " -i --input -J --job-name -m --distribution --mem --mem-per-cpu --mpi -n --ntasks"
        " -N --nodes --ntasks-per-node -o --output -p --partition -q --qos -t --time"
        " -w --nodelist -x --exclude --export --cpu-bind",
        folder="-D --chdir",
    )),
    ("uvx",): _UVX,
    ("uv", "run"): Launcher(
        _options(
            "--with -w --with-editable --with-requirements --extra --group --no-group --only-group"
            " --env-file --python -p --package --project --index --default-index"
            " --index-url -i --extra-index-url --find-links -f --cache-dir --color --config-file"
            " --refresh-package --upgrade-package -P --reinstall-package --no-binary-package"
            " --no-build-package --link-mode --resolution --prerelease --exclude-newer"
            " --config-setting -C --index-strategy --keyring-provider --allow-insecure-host",
            module="-m --module",
            script="-s --script",
            folder="--directory",
        ),
        runs_python=True,
    ),
    ("poetry", "run"): Launcher(_PLAIN),
    ("pipenv", "run"): Launcher(_PLAIN),
    ("pdm", "run"): Launcher(_options("-p --project --venv"), runs_python=True),
    ("rye", "run"): Launcher(_options("--pyproject")),
    ("pixi", "run"): Launcher(_options("-e --environment --manifest-path --color -j")),
    ("apptainer", "exec"): Launcher(_APPTAINER, 1),
    ("capsule", "run"): Launcher(_PLAIN, is_behind_dashes=True),
    ("py-spy", "record"): Launcher(_PLAIN, is_behind_dashes=True),
}  # fmt: skip
_CONDA = Launcher(
    _options(
        "-n --name -p --prefix -r --root-prefix -e --env -f -a --attach --label", folder="--cwd"
    )
)
LAUNCHERS |= {(name, "run"): _CONDA for name in ("conda", "mamba", "micromamba")}
LAUNCHERS["singularity", "exec"] = LAUNCHERS["apptainer", "exec"]
