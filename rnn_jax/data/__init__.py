"""Files to arrays: readers, vocabularies, padded and bucketed batches, and the encoders in front of a cell."""

from rnn_jax.data.audio import LogMel, read_wav, spec_augment
from rnn_jax.data.babi import StoryQuestion, read_babi, read_babi_task
from rnn_jax.data.bucketing import BucketBatch, Buckets, bucket_lengths, bucketed
from rnn_jax.data.calendar_dates import written_dates
from rnn_jax.data.caption_folder import CaptionedImages, read_captioned_images
from rnn_jax.data.clip_folder import LabelledClips, read_labelled_clips
from rnn_jax.data.conll import Entity, TaggedFile, entities, read_tagged
from rnn_jax.data.conllu import Sentence, read_conllu, read_treebank
from rnn_jax.data.csv_series import read_labelled_series
from rnn_jax.data.delay_equation import mackey_glass
from rnn_jax.data.electrocardiogram import heartbeats
from rnn_jax.data.encoders import Embedding, Encoder, OneHot
from rnn_jax.data.examples import Examples
from rnn_jax.data.formants import synthetic_digits
from rnn_jax.data.labelled import Labelled, folded_words, read_labelled
from rnn_jax.data.labelled_series import LabelledSeries
from rnn_jax.data.padding import Padded, pad, unpad
from rnn_jax.data.pair_corpus import PairCorpus
from rnn_jax.data.pairs import (
    Pair,
    PairSplits,
    Referenced,
    read_pairs,
    sentence,
    split_by_source,
    with_references,
    words,
)
from rnn_jax.data.piano_roll import read_piano_rolls
from rnn_jax.data.pixels import read_image, read_pixels
from rnn_jax.data.python_roles import source_code
from rnn_jax.data.series import Series, SplitEnds, read_series, read_series_by, split_ends, windows
from rnn_jax.data.sound_folder import LabelledSounds, read_labelled_sounds
from rnn_jax.data.spelling import spell
from rnn_jax.data.spoken_digits import SpokenDigit, read_spoken_digits
from rnn_jax.data.story_corpus import StoryCorpus, StorySplit, story_words
from rnn_jax.data.story_world import babi_stories
from rnn_jax.data.stratified import best_possible, distinct, split_labelled
from rnn_jax.data.stream import Segment, Streams
from rnn_jax.data.table_rows import RowTokens, read_rows
from rnn_jax.data.tag_corpus import TagCorpus, TagSplit
from rnn_jax.data.text import Corpus, read_text, split, standard_library
from rnn_jax.data.transforms import Level, Log, Root, Scale, Transform
from rnn_jax.data.vocabulary import Vocabulary

__all__ = [
    "BucketBatch",
    "Buckets",
    "CaptionedImages",
    "Corpus",
    "Embedding",
    "Encoder",
    "Entity",
    "Examples",
    "Labelled",
    "LabelledClips",
    "LabelledSeries",
    "LabelledSounds",
    "Level",
    "Log",
    "LogMel",
    "OneHot",
    "Padded",
    "Pair",
    "PairCorpus",
    "PairSplits",
    "Referenced",
    "Root",
    "RowTokens",
    "Scale",
    "Segment",
    "Sentence",
    "Series",
    "SplitEnds",
    "SpokenDigit",
    "StoryCorpus",
    "StoryQuestion",
    "StorySplit",
    "Streams",
    "TagCorpus",
    "TagSplit",
    "TaggedFile",
    "Transform",
    "Vocabulary",
    "babi_stories",
    "best_possible",
    "bucket_lengths",
    "bucketed",
    "distinct",
    "entities",
    "folded_words",
    "heartbeats",
    "mackey_glass",
    "pad",
    "read_babi",
    "read_babi_task",
    "read_captioned_images",
    "read_conllu",
    "read_image",
    "read_labelled",
    "read_labelled_clips",
    "read_labelled_series",
    "read_labelled_sounds",
    "read_pairs",
    "read_piano_rolls",
    "read_pixels",
    "read_rows",
    "read_series",
    "read_series_by",
    "read_spoken_digits",
    "read_tagged",
    "read_text",
    "read_treebank",
    "read_wav",
    "sentence",
    "source_code",
    "spec_augment",
    "spell",
    "split",
    "split_by_source",
    "split_ends",
    "split_labelled",
    "standard_library",
    "story_words",
    "synthetic_digits",
    "unpad",
    "windows",
    "with_references",
    "words",
    "written_dates",
]
