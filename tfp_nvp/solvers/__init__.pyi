# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.solvers.runge_kutta import AdaptiveDormandPrince as AdaptiveDormandPrince
from tfp_nvp.solvers.runge_kutta import DormandPrince5 as DormandPrince5
from tfp_nvp.solvers.runge_kutta import RungeKutta4 as RungeKutta4
from tfp_nvp.solvers.solver import Solver as Solver
