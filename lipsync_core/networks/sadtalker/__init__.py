"""SadTalker's networks: Zhang et al., "SadTalker: Learning Realistic 3D Motion Coefficients for Stylized Audio-Driven
Single Image Talking Face Animation", CVPR 2023. One file per network; parameters bear the published names.
"""
