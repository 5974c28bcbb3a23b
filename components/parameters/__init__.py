"""Parameters of pipelines and components. This package alone defines their names, types, ranges and descriptions.

The form of a pipeline has fields. A field is a single value, e.g. `epochs`, or a JSON object with several keys, e.g.
`training_options`. Classes named `...Fields` contain single values. Classes named `...Options`, and `Placement`,
contain the keys of JSON objects. `Training`, `Gate` and `Choice` combine both for a step.
"""

from components.parameters.describe import describe as describe
from components.parameters.forms import LabelingForm as LabelingForm
from components.parameters.forms import MaintenanceForm as MaintenanceForm
from components.parameters.forms import ScoringForm as ScoringForm
from components.parameters.forms import TrainingForm as TrainingForm
from components.parameters.gate import Gate as Gate
from components.parameters.gate import GateOptions as GateOptions
from components.parameters.ingest import IngestOptions as IngestOptions
from components.parameters.labeling import LabelingFields as LabelingFields
from components.parameters.maintenance import MaintenanceFields as MaintenanceFields
from components.parameters.parse import parse as parse
from components.parameters.parse import parse_form as parse_form
from components.parameters.parse import parse_inputs as parse_inputs
from components.parameters.placement import Placement as Placement
from components.parameters.scoring import Choice as Choice
from components.parameters.scoring import ExportOptions as ExportOptions
from components.parameters.scoring import ScoringFields as ScoringFields
from components.parameters.training import Training as Training
from components.parameters.training import TrainingOptions as TrainingOptions
