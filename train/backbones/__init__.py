"""Frozen networks, trained on ImageNet, whose activations take the image's place in every formula.

backbone = find_backbone("efficientnet_lite0")((2, 4, 10), 1)
maps = backbone(images)

Another one is a file here with a subclass of `ganspect.train.backbones.backbone.Backbone`, and a line in catalogue.py.
Networks of torchvision and timm are all one such class (cut_network.py), with a file for each of the two packages.
"""
