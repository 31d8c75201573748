"""Where frames come from: an image, a folder of images, a video file, a camera number.

with open_source("line3.mp4") as source:
    for shot in source:
        print(shot.source, shot.frame_index, shot.frame.shape)
"""

from ganspect.runtime.capture.selection import open_source
from ganspect.runtime.capture.source import Shot, Source

__all__ = ["Shot", "Source", "open_source"]
