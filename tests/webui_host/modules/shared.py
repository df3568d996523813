"""The host's state: options, command line, the running job."""

import time

from modules import cmd_args
from modules.options import OptionInfo, Options

__all__ = ["OptionInfo", "Options", "State", "cmd_opts", "opts", "state"]

cmd_opts = cmd_args.parser().parse_args([])
opts = Options()
options_templates = opts.data_labels


class State:
    """The one job that runs. `begin` leaves `sampling_steps` of the job before, as the host does."""

    skipped = interrupted = stopping_generation = False
    job, job_no, job_count = "", 0, 0
    sampling_step = sampling_steps = 0
    current_image = None
    id_live_preview = 0
    textinfo = None
    time_start = None

    def begin(self, job: str = "(unknown)") -> None:
        self.sampling_step = self.job_no = self.id_live_preview = 0
        self.time_start, self.job_count, self.job = time.time(), -1, job
        self.current_image = self.textinfo = None
        self.skipped = self.interrupted = self.stopping_generation = False

    def end(self) -> None:
        self.job, self.job_count = "", 0

    def nextjob(self) -> None:
        self.job_no += 1
        self.sampling_step = 0

    def interrupt(self) -> None:
        self.interrupted = True

    def skip(self) -> None:
        self.skipped = True

    def stop_generating(self) -> None:
        self.stopping_generation = True

    def assign_current_image(self, image) -> None:
        self.current_image = image
        self.id_live_preview += 1


state = State()
sd_model = None
face_restorers: list = []
