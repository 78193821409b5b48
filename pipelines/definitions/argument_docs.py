"""Documentation of the pipelines' arguments, made from the parameters' own."""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

from headstart.pipelines.definitions.parameters import parameter_docs

OTHER_ARGUMENTS = {
    "variants": "Variants to train and compare, at least two, as a JSON list of objects with a name and a method, "
    "which is 'from_scratch', 'head' or 'fine_tuned'. Recipe, settings, backbone, weights and image_size may differ "
    "from the default.",
    "backbones": "Backbones to choose from, two or more, as a JSON list: names, hub: presets, or addresses of .keras "
    "files.",
    "budget": "Seconds that the features of a backbone may take in a pod of its own; 0: as long as they take.",
    "vary": "Keys of the recipe that a search varies, with their values, as a JSON list of texts such as "
    "fine_tuning.learning_rate=1e-5..1e-3 or image_size=160,224; empty: those that matter most in fine-tuning.",
    "trials_per_round": "Number of trials of a search that run at the same time, each in a pod of its own.",
    "trials_uri": "Folder, or gs:// or s3:// address, that keeps the trials of a search, from which a later run goes "
    "on; empty: the run's artifacts alone keep them.",
    "command": "Command that started the run, for the report; of 'choose-backbone' one that trains, to which the "
    "chosen backbone is added.",
    "data_image": "Container image of the tasks that compute no network.",
    "data_cpu": "CPU limit of each of these pods, as Kubernetes writes it; '0': no limit.",
    "data_memory": "Memory limit of each of these pods, as Kubernetes writes it; '0': no limit.",
    "data_node_selector": "Labels that their nodes must have, as a JSON object.",
    "data_tolerations": "Taints of nodes that these pods tolerate, as a JSON list.",
    "network_image": "Container image of the tasks that compute a network.",
    "network_cpu": "CPU limit of each of these pods, as Kubernetes writes it; '0': no limit.",
    "network_memory": "Memory limit of each of these pods, as Kubernetes writes it; '0': no limit.",
    "network_node_selector": "Labels that their nodes must have, as a JSON object.",
    "network_tolerations": "Taints of nodes that these pods tolerate, as a JSON list.",
    "accelerator_type": "Resource name of the accelerators of these pods.",
    "accelerator_limit": "Number of accelerators of each of these pods, as text; '' or '0': none.",
}
"""Documentation of the arguments that are no parameters of the command line."""

Function = TypeVar("Function", bound=Callable[..., Any])


def document_arguments(pipeline: Function) -> Function:
    """Adds the documentation of the arguments to a pipeline's docstring, where KFP reads it.

    Args:
        pipeline: Function of a pipeline.
    """
    docs = {name: doc.argument_help for name, doc in parameter_docs().items()} | OTHER_ARGUMENTS
    lines = [f"    {name}: {docs[name]}" for name in inspect.signature(pipeline).parameters]
    pipeline.__doc__ = "\n".join([inspect.getdoc(pipeline) or "", "", "Args:", *lines])
    return pipeline
