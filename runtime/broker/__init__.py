"""An MQTT broker as triggers, outputs and sinks reach it: which one, with which login, and a connection to it."""
