"""Training pictures by the hundred, on the device that learns from them.

All pictures of a corpus lie on the device (`gallery`). A batch of them is posed anew (`pose`) and
recoloured (`contrast`) at once; distances inside masks and regions around clicks, which simulated
annotators need, are computed there too (`depth`). Nothing here knows a model.
"""
