"""All cases, in the order of the matrix."""

from __future__ import annotations

from soak.accepting import AcceptFails, NoDescriptors
from soak.announced import Headers
from soak.backpressure import TinyBuffers
from soak.case import Case
from soak.cuts import Cuts
from soak.draining import Drain
from soak.firstprocess import KilledFirst, Stampede
from soak.fuzz import Fuzz
from soak.halfclose import HalfClose
from soak.integrity import RandomChunks
from soak.limits import LimitReached, OneFloods
from soak.logs import ForgedLog, FullLog
from soak.network import DeadPeers, SynFlood
from soak.ports import NoPorts
from soak.readers import StuckEchoes, StuckStreams
from soak.restarts import Restarts
from soak.services import Services
from soak.slow import Slowloris
from soak.starved import LittleCPU, LittleMemory
from soak.storms import Churn, ConnectStorm, ResetStorm
from soak.workers import HangingWorker, KilledQueue, KilledWorker

CASES: tuple[type[Case], ...] = (
    HalfClose,
    RandomChunks,
    TinyBuffers,
    Cuts,
    Services,
    ConnectStorm,
    Churn,
    LimitReached,
    OneFloods,
    NoDescriptors,
    AcceptFails,
    StuckEchoes,
    StuckStreams,
    Slowloris,
    LittleMemory,
    LittleCPU,
    NoPorts,
    FullLog,
    DeadPeers,
    SynFlood,
    ResetStorm,
    KilledWorker,
    KilledQueue,
    HangingWorker,
    KilledFirst,
    Stampede,
    Drain,
    Restarts,
    Headers,
    Fuzz,
    ForgedLog,
)
