"""Features of examples, and the classifiers that compute them."""

from gancli.features.catalogue import FEATURES, Features, spec_of
from gancli.features.classifier import Classifier, joint_classes, posteriors, predicted, softmax
from gancli.features.fitting import divide, fit, fitted_classifier, kept_fit, right

__all__ = [
    "FEATURES",
    "Classifier",
    "Features",
    "divide",
    "fit",
    "fitted_classifier",
    "joint_classes",
    "kept_fit",
    "posteriors",
    "predicted",
    "right",
    "softmax",
    "spec_of",
]
