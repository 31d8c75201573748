"""Signals of the line that a part is in front of a camera: an MQTT message, an HTTP call, a pin."""
