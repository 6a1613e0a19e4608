"""Training of the embedded tool: LiteMedSAM, taught to follow clicks.

All of it happens on the device that learns, for a batch of pictures at once. Pictures are posed
into the tool's square (`squares`), targets are drawn in them (`targets`, `regions`), some with
somebody's mask to begin with (`starts`), and asked for click by click (`sequences`, after Sofiiuk
et al., arXiv 2102.06583), each click at the larger error of the mask before it (`clicking`).
Prompt encoder and mask decoder are trained as a whole, the image encoder by factors of low rank
(`low_rank`).
"""
