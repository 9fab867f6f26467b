# Written by `python -m tfp_nvp._stubs`.

from tfp_nvp.training._anomalies.anomaly_detector import AnomalyDetector as AnomalyDetector
from tfp_nvp.training._any_order.fit_table import fit_table as fit_table
from tfp_nvp.training._any_order.table_model import TableModel as TableModel
from tfp_nvp.training._any_order.table_plan import TablePlan as TablePlan
from tfp_nvp.training._any_order.table_plan import table_plan_for as table_plan_for
from tfp_nvp.training._matching.distill import distill as distill
from tfp_nvp.training._matching.flow_matching import FlowMatching as FlowMatching
from tfp_nvp.training._models.flow_model import FlowModel as FlowModel
from tfp_nvp.training._models.load_model import load_model as load_model
from tfp_nvp.training._models.schema import Schema as Schema
from tfp_nvp.training._tables.fit import fit as fit
from tfp_nvp.training._tables.plan import Plan as Plan
from tfp_nvp.training._tables.plan import plan_for as plan_for
