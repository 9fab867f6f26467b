# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.any_order.category import Boolean as Boolean
from tfp_nvp.any_order.category import Category as Category
from tfp_nvp.any_order.category import Ordinal as Ordinal
from tfp_nvp.any_order.date import Date as Date
from tfp_nvp.any_order.number import AtomReal as AtomReal
from tfp_nvp.any_order.number import Bounded as Bounded
from tfp_nvp.any_order.number import Count as Count
from tfp_nvp.any_order.number import Integer as Integer
from tfp_nvp.any_order.number import Positive as Positive
from tfp_nvp.any_order.number import Real as Real
from tfp_nvp.any_order.periodic import Periodic as Periodic
from tfp_nvp.any_order.schema import Schema as Schema
