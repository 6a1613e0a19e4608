"""Training of the embedded tool: LiteMedSAM's prompt encoder and mask decoder, for clicks.

The image encoder stays as it is. Pictures are therefore embedded once (`embedded_pictures`), and
an example is a target in one of them (`targets`) that is asked for click by click (`click_model`,
after Sofiiuk et al., arXiv 2102.06583), each click at the larger error of the mask before it.
"""
