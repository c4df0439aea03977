"""symnet: write a network as mathematics, read its gradient, train it compiled."""

from __future__ import annotations

from symnet import init as init
from symnet import losses as losses
from symnet import metrics as metrics
from symnet import nn as nn
from symnet import optim as optim
from symnet import schedules as schedules
from symnet import stop as stop
from symnet.compile import Function as Function
from symnet.compile import compile as compile
from symnet.diff import derivative as derivative
from symnet.diff import grad as grad
from symnet.diff import hessian as hessian
from symnet.diff import hvp as hvp
from symnet.diff import jacobian as jacobian
from symnet.diff import jvp as jvp
from symnet.diff import vjp as vjp
from symnet.expr import Expr as Expr
from symnet.functions import FUNCTIONS
from symnet.ops.contraction import einsum as einsum
from symnet.ops.core import constant as constant
from symnet.ops.core import default_dtype as default_dtype
from symnet.ops.leaves import function as function
from symnet.ops.leaves import input as input
from symnet.ops.leaves import named as named
from symnet.ops.leaves import parameter as parameter
from symnet.ops.leaves import training as training
from symnet.reference import evaluate as evaluate
from symnet.simplify import simplify as simplify
from symnet.simplify import stabilize as stabilize
from symnet.train import Trainer as Trainer

globals().update(FUNCTIONS)
