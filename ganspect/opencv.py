"""OpenCV, or one sentence on how to get it; every module takes `cv2` from here.

It is not in the base install: pip's wheel has no GStreamer and would hide the build that JetPack brings.
"""

from ganspect.errors import MissingDependencyError

try:
    import cv2
except ImportError as error:
    raise MissingDependencyError(
        "OpenCV is not installed; run: pip install 'ganspect[cpu]' "
        "(on a Jetson use the system's: python3 -m venv --system-site-packages)"
    ) from error

__all__ = ["cv2"]
