"""Basler cameras (GigE Vision, USB3 Vision) through pylon, whose Python package brings the driver with it.

    with BaslerSource(read_address("basler:40012345"), SourceSettings(pixel_format="Mono12")) as source:
        for shot in source: ...

`basler:` alone is the first camera that is found, `basler:NAME` one by the name that its user gave it. With
PYLON_CAMEMU=2 in the environment pylon itself plays two cameras, 0815-0000 and 0815-0001, without any hardware.
"""

import threading
import time

import numpy as np
from pypylon import genicam, pylon

from ganspect.errors import SourceError, one_line
from ganspect.preprocess import Frame
from ganspect.runtime.capture.address import Address
from ganspect.runtime.capture.basler_features import configure
from ganspect.runtime.capture.source import SourceSettings
from ganspect.runtime.capture.video import LiveCapture

_SLICE_S = 0.2
"""How often a wait for a frame looks whether the camera was removed, or the station stops."""

_DAMAGED_AT_MOST = 25
"""Frames in a row that did not arrive whole; a network loses one now and then."""


class BaslerSource(LiveCapture):
    """A Basler camera; frames go on until it is removed, gives none in time, or is interrupted."""

    def __init__(self, address: Address, settings: SourceSettings) -> None:
        """Open the camera, set what is asked for, and let it run.

        Raises:
            SourceError: it is not there, is used by another program, or cannot do what is asked for.
        """
        super().__init__(address.shown, length=None)
        self._interrupted = threading.Event()
        camera = _opened(self.name, address.text.partition(":")[2].strip())
        self.name = f"basler:{camera.GetDeviceInfo().GetSerialNumber()}"
        try:
            self.frames_per_s = configure(self.name, camera.GetNodeMap(), settings)
            latest, each = pylon.GrabStrategy_LatestImageOnly, pylon.GrabStrategy_OneByOne
            camera.StartGrabbing(each if settings.keep_every else latest)
        except genicam.GenericException as error:
            camera.Close()
            raise SourceError(f"{self.name} does not start: {one_line(error)}; try it in pylon Viewer") from error
        except SourceError:
            camera.Close()
            raise
        # A line without parts gives no frames, and that is no failure.
        self._capture = _Grabber(self, camera, None if settings.trigger_line else settings.read_timeout_s)

    def how_it_ended(self, count: int) -> str:
        """Return the sentence for an end after so many frames."""
        if self._interrupted.is_set():
            return f"{self.name} was asked to stop after {count} frames"
        return f"{self.name} {self._capture.reason}, after {count} frames; check its cable, power and network"

    def interrupt(self) -> None:
        """End the iteration within a fraction of a second, also while no trigger comes."""
        self._interrupted.set()

    @property
    def interrupted(self) -> bool:
        """Return whether the iteration shall end."""
        return self._interrupted.is_set()


class _Grabber:
    """Reads as OpenCV's captures do, so that `LiveCapture` can; says why it ended."""

    def __init__(self, source: BaslerSource, camera: pylon.InstantCamera, timeout_s: float | None) -> None:
        self.reason = ""
        self._source = source
        self._camera = camera
        self._timeout_s = timeout_s
        self._convert = pylon.ImageFormatConverter()
        # 12 bits in the lower part of 16, as the camera counts them; pylon would shift them to the top.
        self._convert.OutputBitAlignment.Value = "LsbAligned"

    def read(self) -> tuple[bool, Frame | None]:
        """Return the next whole frame, or False with the reason at hand."""
        begin_s, damaged = time.monotonic(), 0
        while not self._source.interrupted:
            try:
                with self._camera.RetrieveResult(round(_SLICE_S * 1e3), pylon.TimeoutHandling_Return) as result:
                    if result.IsValid() and result.GrabSucceeded():
                        self._source.dropped += result.GetNumberOfSkippedImages()
                        return True, self._frame(result)
                    if result.IsValid():
                        damaged += 1
                        self._source.dropped += 1
                        self.reason = f"delivers damaged frames: {one_line(ValueError(result.ErrorDescription))}"
            except genicam.GenericException as error:
                self.reason = f"fails: {one_line(error)}"
                return self._ended()
            late = self._timeout_s is not None and time.monotonic() - begin_s > self._timeout_s
            if late and not damaged:
                self.reason = f"gave no frame for {self._timeout_s:g} s"
            if late or damaged > _DAMAGED_AT_MOST or self._has_gone():
                return self._ended()
        return False, None

    def release(self) -> None:
        """Free the camera for other programs."""
        self._camera.Close()
        self._camera.DestroyDevice()

    def _has_gone(self) -> bool:
        return self._camera.IsCameraDeviceRemoved() or not self._camera.IsGrabbing()

    def _ended(self) -> tuple[bool, None]:
        if self._has_gone():
            self.reason = "was removed"
        return False, None

    def _frame(self, result: pylon.GrabResult) -> Frame:
        """Return pixels as the other sources do: grey or BGR, 8 bits in uint8, more in uint16."""
        kind = result.PixelType
        deep, grey = pylon.BitDepth(kind) > 8, pylon.IsMono(kind) and not pylon.IsBayer(kind)
        if grey:
            self._convert.OutputPixelFormat = pylon.PixelType_Mono16 if deep else pylon.PixelType_Mono8
        else:
            # There is no BGR of 16 bits.
            self._convert.OutputPixelFormat = pylon.PixelType_RGB16packed if deep else pylon.PixelType_BGR8packed
        content = self._convert.Convert(result).GetBuffer()
        shape = (result.Height, result.Width, *(() if grey else (3,)))
        pixels = np.frombuffer(content, np.uint16 if deep else np.uint8).reshape(shape)
        return pixels if grey or not deep else np.ascontiguousarray(pixels[..., ::-1])


def _opened(shown: str, wanted: str) -> pylon.InstantCamera:
    """Return the camera of a serial number or a user's name, opened; of none: the first one."""
    factory = pylon.TlFactory.GetInstance()
    devices = factory.EnumerateDevices()
    names = [(device.GetSerialNumber(), device.GetUserDefinedName()) for device in devices]
    found = next((device for device, its in zip(devices, names, strict=True) if not wanted or wanted in its), None)
    if found is None:
        there = ", ".join(serial + (f" ({name})" if name else "") for serial, name in names)
        raise SourceError(
            f"{shown} is not there; "
            + (
                f"of Basler's cameras this machine sees: {there}"
                if there
                else "this machine sees no Basler camera: "
                "check cable, power and, for GigE, that its address is in the network of this machine's"
            )
        )
    try:
        camera = pylon.InstantCamera(factory.CreateDevice(found))
        camera.Open()
    except genicam.GenericException as error:
        raise SourceError(
            f"{shown} cannot be opened: {one_line(error)}; close other programs that use it, such as pylon Viewer"
        ) from error
    return camera
