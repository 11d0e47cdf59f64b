"""`tcs-hpt worker`: run what is in the queue."""

from __future__ import annotations

from tcs_hpt.cli.options import DevicesOption, SlotsOption, StoreOption, TasksDirOption, checked_devices


def worker(
    store: StoreOption = "",
    slots: SlotsOption = 1,
    devices: DevicesOption = "",
    tasks_dir: TasksDirOption = None,
) -> None:
    """Run studies that were entered through the service, until Ctrl-C; `tcs-hpt serve` starts workers by itself."""
    from tcs_hpt.service.worker import WorkerSettings, run_worker, usual_devices

    run_worker(
        WorkerSettings(
            store=store,
            slots=slots,
            devices=checked_devices(devices) or usual_devices(),
            task_folders=tuple(folder.absolute() for folder in tasks_dir or ()),
        )
    )
