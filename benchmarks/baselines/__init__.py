"""What the network is compared with. Each needs packages of its own and says which.

All get MS already on the PAN grid and both images as float32 network values, made outside the
timing: this favours them, for the package starts from DN and upsamples MS itself.
"""
