"""SQLite's own words as an error that says what to do."""

from fedapay_sync.common.masking import escape_controls, mask
from fedapay_sync.errors import StoreError
from fedapay_sync.store.database import refuses_row

#: By a part of what SQLite says.
_ADVICE = (
    ("full", "Le disque est plein : libérer de la place. Rien n'a été confirmé ; l'écriture reprendra seule."),
    ("locked", "Un autre programme tient la base verrouillée : le fermer (un shell sqlite3, une sauvegarde ?)."),
    ("malformed", "Le fichier est abîmé : le remplacer par une sauvegarde saine."),
    ("not a database", "Ce fichier n'est pas une base SQLite : corriger FEDAPAY_DB_URL."),
    ("readonly", "Le fichier n'est pas inscriptible : corriger ses droits."),
    ("unable to open", "Le fichier ne peut pas être ouvert : vérifier le dossier et ses droits."),
    ("disk I/O", "Le disque ou le dossier a disparu ou refuse : vérifier le stockage."),
)


def explained(error: BaseException) -> StoreError:
    """What failed, and what the reader can do about it."""
    text = escape_controls(mask(error))
    for sign, advice in _ADVICE:
        if sign in text:
            return StoreError(f"La base locale a échoué ({text}). {advice}", permanent=refuses_row(error))
    return StoreError(f"La base locale a échoué ({type(error).__name__} : {text}).", permanent=refuses_row(error))
