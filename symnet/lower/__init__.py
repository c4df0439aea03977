"""Step to Program: loops over buffers, as naive as they are obvious."""

from __future__ import annotations

from symnet.lower.listing import Part as Part
from symnet.lower.listing import came_to as came_to
from symnet.lower.listing import commented as commented
from symnet.lower.listing import essence as essence
from symnet.lower.listing import listing as listing
from symnet.lower.listing import resources as resources
from symnet.lower.listing import shared as shared
from symnet.lower.output_names import output_names as output_names
from symnet.lower.program import Lowered as Lowered
from symnet.lower.program import lower as lower
from symnet.lower.training import Training as Training
from symnet.lower.training import lower_training as lower_training
