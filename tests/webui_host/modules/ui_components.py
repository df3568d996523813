"""The host's own components, as plain ones of the gradio that is here."""

import gradio as gr

if gr.__version__.startswith("4"):  # it would write a .pyi beside every subclass; Forge switches that off as well
    import gradio.component_meta

    gradio.component_meta.create_or_modify_pyi = lambda *row: None


def ToolButton(value: str = "", *, tooltip: str | None = None, **more) -> gr.Button:  # noqa: N802 - a class there
    return gr.Button(value, **more)


def ResizeHandleRow(**more) -> gr.Row:  # noqa: N802
    more.pop("equal_height", None)
    return gr.Row(**more)


class InputAccordion(gr.Checkbox):
    """A check mark that folds what is inside it."""

    def __init__(self, value: bool = False, *, label: str = "", elem_id: str | None = None):
        super().__init__(value, label=label, elem_id=f"{elem_id}-checkbox", visible=False)
        self.accordion = gr.Accordion(label, open=value, elem_id=elem_id)

    def __enter__(self):
        self.accordion.__enter__()
        return self

    def __exit__(self, *raised):
        self.accordion.__exit__(*raised)
