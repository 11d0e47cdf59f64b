"""How good summaries are: ROUGE, BLEU, METEOR, exact match; each 0 to 1, but BLEU, which sacrebleu has as 0 to 100."""

import nltk
import sacrebleu
from nltk.corpus import wordnet
from nltk.tokenize import wordpunct_tokenize
from nltk.translate.meteor_score import meteor_score
from rouge_score.rouge_scorer import RougeScorer

ROUGE = RougeScorer(["rouge1", "rouge2", "rougeL"], use_stemmer=True)


def has_wordnet():
    """Whether nltk's word list, which METEOR needs for synonyms, is on this machine."""
    try:
        nltk.data.find("corpora/wordnet")
    except LookupError:
        try:
            nltk.data.find("corpora/wordnet.zip")
        except LookupError:
            return False
    wordnet.ensure_loaded()
    return True


def rouge(written, wanted):
    """Mean F1 of ROUGE-1, ROUGE-2 and ROUGE-L."""
    scored = [ROUGE.score(w, s) for s, w in zip(written, wanted, strict=True)]
    return {name: sum(s[name].fmeasure for s in scored) / len(scored) for name in ROUGE.rouge_types}


def score(articles, written, wanted):
    """All scores of summaries.

    Args:
        articles: What was summarized.
        written: By the model.
        wanted: The highlights.
    """
    found = rouge(written, wanted)
    # What the number becomes when the article, which both texts begin with, is counted too; see the README.
    whole = [[f"{a}\n{s}" for a, s in zip(articles, texts, strict=True)] for texts in (written, wanted)]
    found["rouge1_with_article"] = rouge(*whole)["rouge1"]
    found["bleu"] = sacrebleu.corpus_bleu(written, [wanted]).score
    same = [s.split() == w.split() for s, w in zip(written, wanted, strict=True)]
    found["exact_match"] = sum(same) / len(same)
    if has_wordnet():
        pairs = [[wordpunct_tokenize(t) for t in pair] for pair in zip(wanted, written, strict=True)]
        found["meteor"] = sum(meteor_score([w], s) for w, s in pairs) / len(pairs)
    return found
