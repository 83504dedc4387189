"""How many GPUs this process may use, found without loading torch.

    gpu_count()     # 8; 0 on a laptop, and where CUDA_VISIBLE_DEVICES is empty or -1

Counts device files: NVIDIA's, then AMD's. What fits on them is not asked here.
"""

import os
import shutil
import subprocess
from pathlib import Path

# Each hides GPUs from the process: a list of those that are left.
VISIBLE = ("CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES")


def has_gpu() -> bool:
    return gpu_count() > 0


def gpu_count(root: Path = Path("/")) -> int:
    """GPUs of this machine that the environment leaves visible. ``root``: of the file system."""
    count = _present(root)
    for variable in VISIBLE:
        listed = os.environ.get(variable)
        if listed is not None:
            count = min(count, _listed(listed))
    return count


def _listed(devices: str) -> int:
    """Devices up to the first that cannot be one: the drivers read these lists like that."""
    names = [name.strip() for name in devices.split(",")]
    unusable = [place for place, name in enumerate(names) if name in ("", "-1", "NoDevFiles")]
    return min(unusable, default=len(names))


def _present(root: Path) -> int:
    # Device files before /proc: a container sees every GPU of its host in the latter.
    nvidia = len(list((root / "dev").glob("nvidia[0-9]*")))
    if nvidia or (root / "proc/driver/nvidia/gpus").is_dir():
        return nvidia or len(list((root / "proc/driver/nvidia/gpus").iterdir()))
    if (root / "dev/kfd").exists():
        # Nodes of AMD's topology; those of CPUs have no SIMD units.
        nodes = (root / "sys/class/kfd/kfd/topology/nodes").glob("*/properties")
        return sum("simd_count 0\n" not in node.read_text() for node in nodes) or 1
    return _by_nvidia_smi()  # Windows' Linux has neither


def _by_nvidia_smi() -> int:
    program = shutil.which("nvidia-smi")
    if program is None:
        return 0
    try:
        listed = subprocess.run([program, "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return sum(line.startswith("GPU ") for line in listed.stdout.splitlines())
