"""Pipeline `search_recipe`: rounds of trials, each learning from those before, and a model with the best recipe."""

from typing import Any, Dict, List

from kfp import dsl
from kfp.dsl.base_component import BaseComponent

from headstart.components.choose_trial.component import choose_trial
from headstart.components.download_dataset.component import download_dataset
from headstart.components.evaluate_model.component import evaluate_model
from headstart.components.fine_tune.component import fine_tune
from headstart.components.list_data.component import list_data
from headstart.components.propose_trials.component import propose_trials
from headstart.components.run_trial.component import run_trial
from headstart.components.split_dataset.component import split_dataset
from headstart.components.train_head.component import train_head
from headstart.pipelines.definitions.argument_docs import document_arguments
from headstart.pipelines.definitions.notification import notifies_at_end
from headstart.pipelines.definitions.parameters import Parameters
from headstart.pipelines.definitions.placement import accelerator_limit_of, place_tasks
from headstart.pipelines.definitions.profile import Profile
from headstart.pipelines.definitions.tasks import DEFAULT_ROUNDS, SEARCH_RECIPE, TRIALS_PER_ROUND

_DEFAULTS = Parameters()


def build_search(profile: Profile, rounds: int = DEFAULT_ROUNDS, parallelism: int = 0) -> BaseComponent:
    """Builds the pipeline; choices that KFP cannot take as parameters at run time are made here.

    A loop of KFP cannot learn from its own iterations, so each round is a loop of its own.

    Args:
        profile: Cluster profile; kfp's local runner reads only its retries.
        rounds: Number of rounds of trials, 1 or more.
        parallelism: Largest number of trials at the same time; 0: no limit but that of a round.
    """
    on_data, on_network = profile.data, profile.network

    @dsl.pipeline(
        name=SEARCH_RECIPE,
        description="Searches for a better recipe in rounds of trials, by the loss on validation images; trains with "
        "the best one, and evaluates that once on test images.",
    )
    @document_arguments
    @notifies_at_end(profile, SEARCH_RECIPE)
    def search_recipe(
        data: List[str],
        labels: str = _DEFAULTS.labels,
        class_level: int = _DEFAULTS.class_level,
        max_side: int = _DEFAULTS.max_side,
        max_bad_fraction: float = _DEFAULTS.max_bad_fraction,
        sha256: List[str] = _DEFAULTS.sha256,
        corrections: str = _DEFAULTS.corrections,
        accept_suggestions: float = _DEFAULTS.accept_suggestions,
        image_column: str = _DEFAULTS.image_column,
        label_column: str = _DEFAULTS.label_column,
        group_column: str = _DEFAULTS.group_column,
        group_from: str = _DEFAULTS.group_from,
        strict_groups: bool = _DEFAULTS.strict_groups,
        vary: List[str] = [],  # noqa: B006 - KFP reads the default and never changes it
        trials_per_round: int = TRIALS_PER_ROUND,
        trials_uri: str = "",
        recipe: str = _DEFAULTS.recipe,
        settings: Dict[str, Any] = _DEFAULTS.settings,
        backbone: str = _DEFAULTS.backbone,
        weights: str = _DEFAULTS.weights,
        image_size: int = _DEFAULTS.image_size,
        counts: List[int] = _DEFAULTS.counts,
        fractions: List[float] = _DEFAULTS.fractions,
        order: str = _DEFAULTS.order,
        class_counts: Dict[str, Any] = _DEFAULTS.class_counts,
        tiny_classes: str = _DEFAULTS.tiny_classes,
        seed: int = _DEFAULTS.seed,
        record_uri: str = _DEFAULTS.record_uri,
        checkpoint_uri: str = _DEFAULTS.checkpoint_uri,
        false_alarm: float = _DEFAULTS.false_alarm,
        command: str = "",
        data_image: str = profile.image_of(on_data.image),
        data_cpu: str = on_data.cpu,
        data_memory: str = on_data.memory,
        data_node_selector: Dict[str, str] = on_data.node_selector,
        data_tolerations: List[Dict[str, str]] = on_data.taints,
        network_image: str = profile.image_of(on_network.image),
        network_cpu: str = on_network.cpu,
        network_memory: str = on_network.memory,
        network_node_selector: Dict[str, str] = on_network.node_selector,
        network_tolerations: List[Dict[str, str]] = on_network.taints,
        accelerator_type: str = on_network.accelerator_type,
        accelerator_limit: str = on_network.accelerators,
    ) -> None:
        """Searches for a better recipe, and trains and evaluates an image classifier with it."""
        listing = list_data(
            data=data,
            corrections=corrections,
            record_uri=record_uri,
            checkpoint_uri=checkpoint_uri,
            trials_uri=trials_uri,
            recipe=recipe,
            settings=settings,
            backbone=backbone,
            weights=weights,
            image_size=image_size,
            image_column=image_column,
            label_column=label_column,
            group_column=group_column,
            false_alarm=false_alarm,
        ).set_caching_options(False)
        dataset = download_dataset(
            data=data,
            labels=labels,
            class_level=class_level,
            max_side=max_side,
            max_bad_fraction=max_bad_fraction,
            sha256=sha256,
            corrections=corrections,
            listing=listing.output,
            image_column=image_column,
            label_column=label_column,
            group_column=group_column,
            group_from=group_from,
            accept_suggestions=accept_suggestions,
        )
        splits = split_dataset(
            dataset=dataset.outputs["dataset"],
            counts=counts,
            fractions=fractions,
            order=order,
            seed=seed,
            class_counts=class_counts,
            tiny_classes=tiny_classes,
            strict_groups=strict_groups,
        )
        train, validation, test = (splits.outputs[name] for name in ("train", "validation", "test"))
        varied: Dict[str, Any] = {
            "recipe": recipe,
            "settings": settings,
            "backbone": backbone,
            "weights": weights,
            "image_size": image_size,
        }
        tasks = [("list_data", listing), ("download_dataset", dataset), ("split_dataset", splits)]
        ended: Dict[str, Any] = {}
        for _ in range(rounds):
            proposed = propose_trials(
                train=train,
                validation=validation,
                vary=vary,
                trials_per_round=trials_per_round,
                trials_uri=trials_uri,
                seed=seed,
                **varied,
                **ended,
            ).set_caching_options(False)
            with dsl.ParallelFor(proposed.outputs["Output"], name="trials", parallelism=parallelism) as trial:
                run = run_trial(
                    train=train,
                    validation=validation,
                    trial=trial,
                    seed=seed,
                    record_uri=record_uri,
                    checkpoint_uri=checkpoint_uri,
                    accelerators=accelerator_limit_of("run_trial", profile, accelerator_limit),
                    **varied,
                )
            tasks += [("propose_trials", proposed), ("run_trial", run)]
            ended = {"before": proposed.outputs["trials"], "results": dsl.Collected(run.output)}
        chosen = choose_trial(validation=validation, trials_uri=trials_uri, **varied, **ended)
        chosen.set_caching_options(False)
        found: Dict[str, Any] = {"recipe": chosen.outputs["Output"], "seed": seed}
        kept: Dict[str, Any] = {"record_uri": record_uri, "checkpoint_uri": checkpoint_uri}
        head = train_head(
            train=train,
            validation=validation,
            accelerators=accelerator_limit_of("train_head", profile, accelerator_limit),
            **found,
            **kept,
        )
        tuned = fine_tune(
            head=head.outputs["model"],
            train=train,
            validation=validation,
            accelerators=accelerator_limit_of("fine_tune", profile, accelerator_limit),
            **found,
            **kept,
        )
        evaluation = evaluate_model(
            model=tuned.outputs["model"],
            head=head.outputs["model"],
            test=test,
            validation=validation,
            command=command,
            false_alarm=false_alarm,
        )
        tasks += [
            ("choose_trial", chosen),
            ("train_head", head),
            ("fine_tune", tuned),
            ("evaluate_model", evaluation),
        ]

        requests = {
            "data_image": data_image,
            "data_cpu": data_cpu,
            "data_memory": data_memory,
            "data_node_selector": data_node_selector,
            "data_tolerations": data_tolerations,
            "network_image": network_image,
            "network_cpu": network_cpu,
            "network_memory": network_memory,
            "network_node_selector": network_node_selector,
            "network_tolerations": network_tolerations,
            "network_accelerator_type": accelerator_type,
            "network_accelerator_limit": accelerator_limit,
        }
        for name, task in tasks:
            place_tasks({name: task}, profile, requests)

    return search_recipe
