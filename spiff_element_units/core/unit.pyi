from .pack import Pack

def unit(
    pack: Pack, process_id: str, element_ids: tuple[str, ...], defer: str, version: bytes
) -> str: ...
def needs(
    pack: Pack, process_id: str, element_ids: tuple[str, ...], defer: str
) -> tuple[str, ...]: ...
