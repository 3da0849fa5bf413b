"""Figures about samples, one family a file. Every function is usable alone, on tensors.

Reals come first, fakes second. Features are [N, d] floats from any frozen network. Each returns an `Estimate` or a
NamedTuple of them, and raises DataError for samples that it cannot use.


frechet           frechet_distance (FD, FID on Inception features), frechet_at_infinity; Moments, frechet
kernel            kernel_distance (KID)
inception_score   inception_score
neighbours        prdc (precision, recall, density, coverage), nearest
copies            copy_rate, copying_test (C_T)
diversity         vendi_score, effective_rank, feature_std, pairwise_distance, birthday; effective_number
modes             class_modes (covered, effective, reverse KL), Bins, binned (NDB, JSD, missing bins); captured
sliced            sliced_distance of features, sliced_patches of images
similarity        psnr, ssim, ms_ssim, lpips, all of pairs; ms_ssim_of_pairs
path_length       path_length
records           likeness (prevalence R2, correlation error), usefulness (TSTR, TRTR) of flags and counts
two_sample        two_sample_test

Of sentences, as tokens [N, L] with 0 behind the last: `ngrams.numbered` makes these of words.

bleu              bleu (forward and backward), self_bleu; sentence_bleu, sentence_self_bleu
wording           distinct, repeats, verbatim, words_used
language_model    perplexities (LM and reverse LM), language_model
"""

from equipoise.metrics.bleu import bleu as bleu
from equipoise.metrics.bleu import self_bleu as self_bleu
from equipoise.metrics.bleu import sentence_bleu as sentence_bleu
from equipoise.metrics.bleu import sentence_self_bleu as sentence_self_bleu
from equipoise.metrics.copies import copy_rate as copy_rate
from equipoise.metrics.copies import copying_test as copying_test
from equipoise.metrics.diversity import birthday as birthday
from equipoise.metrics.diversity import effective_number as effective_number
from equipoise.metrics.diversity import effective_rank as effective_rank
from equipoise.metrics.diversity import feature_std as feature_std
from equipoise.metrics.diversity import pairwise_distance as pairwise_distance
from equipoise.metrics.diversity import vendi_score as vendi_score
from equipoise.metrics.estimate import Estimate as Estimate
from equipoise.metrics.frechet import Moments as Moments
from equipoise.metrics.frechet import frechet_at_infinity as frechet_at_infinity
from equipoise.metrics.frechet import frechet_distance as frechet_distance
from equipoise.metrics.inception_score import inception_score as inception_score
from equipoise.metrics.kernel import kernel_distance as kernel_distance
from equipoise.metrics.language_model import language_model as language_model
from equipoise.metrics.language_model import perplexities as perplexities
from equipoise.metrics.modes import Binned as Binned
from equipoise.metrics.modes import Bins as Bins
from equipoise.metrics.modes import ClassModes as ClassModes
from equipoise.metrics.modes import binned as binned
from equipoise.metrics.modes import class_modes as class_modes
from equipoise.metrics.neighbours import PRDC as PRDC
from equipoise.metrics.neighbours import nearest as nearest
from equipoise.metrics.neighbours import prdc as prdc
from equipoise.metrics.path_length import path_length as path_length
from equipoise.metrics.similarity import lpips as lpips
from equipoise.metrics.similarity import ms_ssim as ms_ssim
from equipoise.metrics.similarity import ms_ssim_of_pairs as ms_ssim_of_pairs
from equipoise.metrics.similarity import psnr as psnr
from equipoise.metrics.similarity import ssim as ssim
from equipoise.metrics.sliced import sliced_distance as sliced_distance
from equipoise.metrics.sliced import sliced_patches as sliced_patches
from equipoise.metrics.two_sample import two_sample_test as two_sample_test
from equipoise.metrics.wording import distinct as distinct
from equipoise.metrics.wording import repeats as repeats
from equipoise.metrics.wording import verbatim as verbatim
from equipoise.metrics.wording import words_used as words_used
