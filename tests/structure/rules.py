"""The rules of the tree that the other files here check: the table of docs/architecture.md, as data."""

# Who may include whom, by top-level folder. The roles (scheduler, server, worker) never include each other.
MAY_INCLUDE = {
    "base":      {"base"},
    "transport": {"transport", "base"},
    "protocol":  {"protocol", "transport", "base"},
    "kernels":   {"kernels", "base"},
    "model":     {"model", "kernels", "base"},
    "data":      {"data", "base"},
    "scheduler": {"scheduler", "protocol", "base"},
    "server":    {"server", "protocol", "kernels", "base"},
    "worker":    {"worker", "protocol", "model", "data", "kernels", "base"},
    "exchange":  {"exchange", "worker", "protocol", "model", "data", "kernels", "base"},
    "sim":       {"sim", "exchange", "scheduler", "server", "worker", "protocol", "transport", "model", "data", "kernels", "base"},
}

# A main puts its row together, so it may also choose a transport; the scheduler's HTTP runs in its loop.
MAIN = "*main.cc"
SCHEDULER_HTTP = "scheduler/http*"
WIRING = [MAIN, SCHEDULER_HTTP]
WIRING_MAY_ALSO_INCLUDE = {"transport"}

# Inside a row: the kinds of transport and of device do not know each other.
STRANGERS = [
    {"transport/zmq", "transport/tcp", "transport/shm", "transport/sim"},
    {"kernels/cpu", "kernels/cuda"},
]

# Libraries, by the headers that they are known by, and the only places that may include them.
# The macro of kernels/host_device.h that makes a function a host and device function needs no header of CUDA's.
LIBRARIES = {
    "ZeroMQ": (["zmq.h", "zmq.hpp", "zmq_addon.hpp"], ["transport/zmq/*"]),
    "oneDNN": (["dnnl*", "oneapi/dnnl/*"], ["kernels/cpu/*"]),
    "CUDA, cuBLAS, cuDNN": (["cuda*", "cublas*", "cudnn*", "curand*", "nccl*", "thrust/*", "cub/*"],
                            ["kernels/cuda/*"]),
    "Boost": (["boost/*"], ["transport/*", *WIRING]),
    "toml++": (["toml*"], ["base/*"]),
    "libjpeg": (["jpeglib.h", "jerror.h"], ["data/jpeg_picture.cc"]),
    "libpng": (["png.h"], ["data/png_picture.cc"]),
}

# Folders whose sources are not part of the product: they may include everything.
FREE_FOLDERS = {"tests", "bench"}

# The pure cores: no thread, lock, system clock, randomness or environment, not even through a header of
# ours. All of a role is its core but what gives it a process: mains, HTTP, threads, files.
CORES = ["scheduler/*", "server/*", "worker/*client*", "worker/*core*", "protocol/core*"]
NOT_CORES = [*WIRING, "*/*thread*", "*/*process*", "scheduler/run_files*"]
FORBIDDEN_HEADERS_IN_CORES = {
    "mutex", "shared_mutex", "thread", "condition_variable", "future", "random", "pthread.h", "omp.h",
}
FORBIDDEN_WORDS_IN_CORES = ["steady_now(", "getenv(", "_clock::now(", "sleep_for(", "std::rand("]

LINES_WARN = 400
LINES_MAX = 600

# Written apart, so that this line may stand.
FORBIDDEN_WORDS = ["TO" + "DO", "FIX" + "ME", "X" + "XX"]
