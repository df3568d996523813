"""No checkpoint is loaded."""


class _ModelData:
    sd_model = None


model_data = _ModelData()


def send_model_to_cpu(model) -> None:
    raise AssertionError("there is no model to move")


send_model_to_device = send_model_to_cpu
