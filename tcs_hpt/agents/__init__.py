"""The two agents of TCS-HPT: one analyses, one proposes. They see reports and lists, never storage or processes."""

from tcs_hpt.agents._agent import Agent
from tcs_hpt.agents.analysis import AnalysisAgent
from tcs_hpt.agents.conversation import Answered
from tcs_hpt.agents.optimizer import OptimizerAgent

__all__ = ["Agent", "AnalysisAgent", "Answered", "OptimizerAgent"]
