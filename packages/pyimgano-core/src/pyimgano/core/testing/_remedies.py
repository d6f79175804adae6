"""How to mend what a check finds: one piece of advice per rule, for who wrote what was checked."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["REMEDIES"]

REMEDIES: Mapping[str, str] = MappingProxyType(
    {
        # entry points and specs
        "check_entry_loads": (
            "the value of an entry point is 'module:ATTRIBUTE' of a sequence of specs; `pyimgano plugins list "
            "--traceback` shows where its import fails"
        ),
        "check_listing_is_light": (
            "move the import into the function that needs it; the module with the specs holds data"
        ),
        "check_names_are_free": "put your distribution's name in front, as in 'acme-patchcore'",
        "check_spec": "change the spec in the module that the entry point names",
        "check_factory": (
            "write the import string as 'package.module:attribute'; a module that a user may lack belongs into "
            "the spec's `requires`, every other one into the dependencies in pyproject.toml"
        ),
        "check_default_parameters": "give each parameter a default that works, and refuse others in validate()",
        "check_spec_tells_the_truth": (
            "listings and commands go by the spec: change it, or add the method that it claims"
        ),
        # models
        "check_init_only_stores_parameters": (
            "write self.<name> = <name> for each parameter and nothing else; check them in validate(), and make "
            "what is derived from them in _fit or where it is used"
        ),
        "check_unfitted_is_refused": (
            "derive from pyimgano.core.detector.BaseDetector, or call self._check_fitted() first"
        ),
        "check_fit_returns_self": "end fit with `return self`, or derive from BaseDetector and write _fit",
        "check_empty_training_set_is_refused": "raise pyimgano.core.errors.DatasetError, or derive from BaseDetector",
        "check_scores_are_finite": (
            "look for divisions by a spread that may be zero, and logarithms of zero: add a small ε"
        ),
        "check_defects_score_higher": "turn the sign of the score round: similarity must become distance",
        "check_infer_equals_decision_function": (
            "let both come from one _infer_batch; the score must not depend on `maps`, and a map has one value "
            "per place"
        ),
        "check_maps_point_at_the_defect": "higher must mean more anomalous in maps as well; look for flipped axes",
        "check_labels_and_tie_rule": "inherit predict from BaseDetector: 1 where score >= threshold_",
        "check_score_does_not_depend_on_batch": (
            "use what fit has learned in place of the batch's own mean, maximum, ranks or batch normalisation "
            "(network.eval()); where sums of floats differ with the batch's size, pass batch_tolerance to the kit"
        ),
        "check_score_does_not_depend_on_order": "keep no state between images, and sort nothing without sorting back",
        "check_scoring_changes_nothing": (
            "draw no random numbers and write no attribute while scoring; copy images first"
        ),
        "check_refit_equals_fresh_fit": (
            "make random numbers from a seed that is a parameter (pyimgano.core.seeding.generator), and keep what "
            "is learned in attributes that end in _, which fit deletes first"
        ),
        "check_save_and_load": (
            "_get_state must return all that _infer_batch reads beyond the parameters, as arrays of full "
            "precision and JSON-friendly facts, and _set_state must put it back"
        ),
        "check_unreadable_image_is_an_error": (
            "read images by pyimgano.core.images (BaseDetector does), and catch no ImageError on the way"
        ),
        "check_paths_arrays_and_lazy_sequences": (
            "take images through pyimgano.core.batching.ImageBatches (BaseDetector does): it decodes paths, greys "
            "and 16 bit"
        ),
        "check_labels_of_training_images": "leave out images labelled 1, as BaseDetector.fit does",
        "check_prepare_is_idempotent": (
            "return an image that already has the final size as it is; no normalisation here"
        ),
        # models that are trained
        "check_is_finetunable": (
            "see pyimgano.core.contracts.Finetunable for what it asks; set finetune=False otherwise"
        ),
        "check_unknown_mode_is_refused": "require(mode in self.modes, 'mode', mode, ', '.join(self.modes))",
        "check_every_mode_takes_a_step": (
            "trainable(mode) must set requires_grad of what it returns, and of nothing else"
        ),
        "check_training_is_repeatable": (
            "draw from pyimgano.core.seeding.generator(self.seed, step), never from torch's own"
        ),
        "check_unfinished_training_does_not_score": (
            "forget what fit has learned in begin_training; finish_training makes it"
        ),
        "check_scoring_changes_no_step": (
            "score with network.eval(), go back to train() in training_step, and draw no lots"
        ),
        "check_interrupted_training_goes_on": (
            "training_state must hold weights, running statistics and the number of the step; optimisers are the "
            "runner's"
        ),
        "check_masks_are_learned_from_or_refused": "raise ParameterError for masks where learns_from_defects is False",
        # readers of datasets
        "check_made_without_arguments": "a reader has no parameters: what it needs to know lies below the root",
        "check_other_folders_are_not_detected": "return None unless what lies in the folder has the layout's own names",
        "check_other_folders_are_refused": (
            "raise pyimgano.core.errors.DatasetError with where=str(root) and allowed=<the layout>"
        ),
        "check_reading": "see pyimgano.core.contracts.Sample for what each field means",
        # components
        "check_features": "see pyimgano.core.contracts.FeatureExtractor and ImageDescriber for what they ask",
        "check_augmentation": (
            "return a changed copy and the mask (None where none was given); draw all lots from the `rng` that is "
            "passed"
        ),
        "check_preprocessing": (
            "return (changed copy of the same size and dtype, None or how it was moved); learn in fit alone, and "
            "give back in get_state all that was learned; pyimgano.workbench.preprocess.preprocessing.Stateless "
            "is a base of what learns nothing"
        ),
        "check_map_rule": "return a changed float32 copy of the map; one with learns = True has fit, state and restore",
        "check_threshold_method": "see pyimgano.workbench.calibrate.ThresholdMethod for what it asks",
        "check_labelled_threshold_method": (
            "see pyimgano.workbench.calibrate.methods for threshold_with_defects, defects_needed and "
            "guarantee_with_defects; one that uses good images alone has no tag 'defects'"
        ),
        "check_defect": (
            "return (changed copy, (H, W) bool mask that is not empty), both inside the `roi`; draw all lots from the "
            "`rng` that is passed; pyimgano.workbench.defects.defect.DrawnDefect is a base that keeps all of it"
        ),
        "check_sink": "see pyimgano.core.sinks.TrackingSink: one method, record(run); connect in it, not in __init__",
        "check_weights_provider": "see pyimgano.core.weights.WeightsProvider for what it asks",
        # recipes and commands
        "check_presets": "the recipe's class needs the attribute presets = {name: part of a run config}",
        "check_recipe_run": (
            "write below `run` alone, through its methods; take every random number from the config's seed, and "
            "finish with run.finish(write_artifacts(...))"
        ),
        "check_command": "the docstring's first line is the summary; every parameter needs a type that typer knows",
    }
)
"""Name of a check → what to do when it fails."""
