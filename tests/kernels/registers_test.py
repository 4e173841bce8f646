"""What each kernel takes of a GPU's processor, as ptxas said when it was compiled (cmake/keep_ptxas_report.sh): a table,
and the limits that it has to keep.

    registers_test.py SOURCE_DIR OBJECTS_DIR ARCHITECTURE ...

A processor of sm_80 or sm_90 has 65,536 registers. At 80 a thread, three blocks of 256 threads are at work there at a
time, enough to wait for memory in turns. A stack means that something did not fit into registers, or is indexed by what
only runs: it lies in memory, which is what our kernels are bound by."""
import pathlib
import re
import subprocess
import sys

REGISTERS_MAX = 80
ENTRY = re.compile(r"Compiling entry function '(\S+)' for '(\S+)'")
STACK = re.compile(r"(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads")
USED = re.compile(r"Used (\d+) registers(?:.*?(\d+) bytes smem)?")


def kernels_of(text):
    """(name, architecture, stack, spilled, registers, shared) of each kernel; a function of a report's text."""
    found = []
    for line in text.splitlines():
        if match := ENTRY.search(line):
            found.append([*match.groups(), None, None, None, None])
        elif found and (match := STACK.search(line)):
            found[-1][2:4] = int(match[1]), int(match[2]) + int(match[3])
        elif found and (match := USED.search(line)):
            found[-1][4:6] = int(match[1]), int(match[2] or 0)
    return found


def readable(names):
    return subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout.split("\n")


def short(name):
    name = name.replace("rubato::kernels::cuda::", "").replace("rubato::kernels::", "").replace("(anonymous namespace)::", "")
    return re.sub(r"^void ", "", name.split("(")[0])


def complaints_of(kernel):
    name, architecture, stack, spilled, registers, _ = kernel
    where = f"{name} for {architecture}"
    if None in kernel:
        return [f"{where}: ptxas did not say what it takes; are its lines read as they are now?"]
    found = []
    if stack > 0 or spilled > 0:
        found.append(f"{where}: {stack} bytes of stack, {spilled} spilled; none is allowed")
    if registers > REGISTERS_MAX:
        found.append(f"{where}: {registers} registers, {REGISTERS_MAX} are allowed")
    return found


def self_test():
    said = ("ptxas info    : Compiling entry function 'k' for 'sm_80'\n    8 bytes stack frame, 4 bytes spill stores, 4 bytes "
            "spill loads\nptxas info    : Used 81 registers, used 1 barriers, 1024 bytes smem, 360 bytes cmem[0]\n")
    assert kernels_of(said) == [["k", "sm_80", 8, 8, 81, 1024]], kernels_of(said)
    assert len(complaints_of(kernels_of(said)[0])) == 2
    assert complaints_of(["k", "sm_80", 0, 0, 80, 0]) == []
    assert len(complaints_of(["k", "sm_80", None, None, None, None])) == 1


def main():
    self_test()
    sources = sorted(pathlib.Path(sys.argv[1]).glob("kernels/cuda/*.cu"))
    objects = pathlib.Path(sys.argv[2])
    wanted = {f"sm_{number}" for number in re.findall(r"\d+", " ".join(sys.argv[3:]))}  # as CMake says them: 80-real, 90
    complaints, rows = [], []
    for source in sources:
        report = objects / f"{source.name}.o.ptxas"
        if not report.exists():
            sys.exit(f"{report} is not there: build rubato_kernels_cuda again")
        kernels = kernels_of(report.read_text())
        built_for = {kernel[1] for kernel in kernels}
        if built_for != wanted:
            complaints.append(f"{source.name}: built for {sorted(built_for)}, not {sorted(wanted)}")
        for kernel, name in zip(kernels, readable([kernel[0] for kernel in kernels])):
            kernel[0] = short(name)
            complaints += complaints_of(kernel)
            rows.append(kernel)
    print(f"{'kernel':<60} {'for':>6} {'registers':>9} {'shared':>7} {'stack':>6} {'spilled':>7}")
    for name, architecture, stack, spilled, registers, shared in sorted(rows, key=str):
        print(f"{name:<60} {architecture:>6} {registers!s:>9} {shared!s:>7} {stack!s:>6} {spilled!s:>7}")
    sys.exit("\n".join(complaints) if complaints else 0)


if __name__ == "__main__":
    main()
