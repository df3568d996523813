"""The row with Generate, Interrupt and Skip."""

import gradio as gr
from modules import shared


class Toprow:
    def __init__(self, is_img2img, is_compact=False, id_part=None):
        self.id_part = id_part
        with gr.Row(elem_id=f"{id_part}_generate_box", render=not is_compact) as self.submit_box:
            self.interrupt = gr.Button("Interrupt", elem_id=f"{id_part}_interrupt")
            self.skip = gr.Button("Skip", elem_id=f"{id_part}_skip")
            self.interrupting = gr.Button("Interrupting...", elem_id=f"{id_part}_interrupting")
            self.submit = gr.Button("Generate", elem_id=f"{id_part}_generate", variant="primary")
            self.skip.click(fn=shared.state.skip)
            self.interrupt.click(fn=shared.state.interrupt)
            self.interrupting.click(fn=shared.state.interrupt)

    def create_inline_toprow_image(self):
        self.submit_box.render()
