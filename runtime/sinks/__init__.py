"""Where verdicts go beside the history: files, pictures, a web address, an MQTT broker.

A sink that sends what the history holds never delays a verdict or another sink, and what it owes survives a restart.
"""
