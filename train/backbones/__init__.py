"""Frozen networks, trained on ImageNet, whose activations take the image's place in every formula.

backbone = find_backbone("efficientnet_lite0")(layers=(2, 4, 10), channels=1)
maps = backbone(images)

Another one is a file here with a subclass of `ganspect.train.backbones.backbone.Backbone`, and a line in catalogue.py.
"""
