"""Other libraries: callbacks that report a training's epochs, an Optuna sampler, export to MLflow.

Each module needs its own library and is imported by its own name, so that nothing is loaded that is not used:

    from tcs_hpt.integrations.transformers import TcsCallback
    from tcs_hpt.integrations.lightning import TcsCallback
    from tcs_hpt.integrations.xgboost import TcsCallback
    from tcs_hpt.integrations.lightgbm import tcs_callback
    from tcs_hpt.integrations.sklearn import fit_in_epochs, report_cross_validation, report_staged
    from tcs_hpt.integrations.optuna import TcsSampler, proposal_of

The modules for training libraries import the training side of this package only (`client`, `errors`).
"""
