"""Whose bundle it is: Ed25519 signatures over what a bundle says of itself, and who demands them.

ganspect new-key line.pem
ganspect sign bundle --key line.pem
ganspect verify bundle --key line.pub.pem
"""
