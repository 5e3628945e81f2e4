"""The words that init knows in cells and file names: kinds, statuses, flags, currencies, blanks.

Plain data, in English, Chinese, German, French, Spanish and Portuguese. Words are compared without
case, accents, spaces and underscores.
"""

from __future__ import annotations

KIND_WORDS: dict[str, dict[str, str]] = {
    "transactions": {
        "purchase": """
            purchase purchases sale sales sold order orders ordered payment paid complete
            completed buy bought delivered shipped fulfilled success succeeded successful settled
            captured charge processing partially_refunded partly_refunded partial_refund closed
            in_transit confirmed accepted approved dispatched collected picked_up received invoiced
            awaiting_shipment awaiting_fulfillment partially_shipped unfulfilled
            bezahlt abgeschlossen verkauf kauf geliefert versendet erledigt bestellung
            paye payee payé termine terminee vente achat livre livree expedie
            pagado pagada completado completada venta compra entregado enviado
            pago paga concluido concluida entregue enviada
            已付款 已支付 已完成 完成 成功 购买 销售 订单 已发货 交易成功 支付成功 已签收
        """,
        "refund": """
            refund refunds refunded return returns returned chargeback credit_note charged_back
            disputed fully_refunded reversal
            erstattungen gutschriften remboursements reembolsos devoluciones devolucoes estornos
            erstattet erstattung rückerstattung rückgabe retoure gutschrift storniert_erstattet
            rembourse remboursee remboursement retour avoir
            reembolsado reembolsada reembolso devuelto devolución devolucion
            devolvido devolução estornado estorno
            退款 已退款 退货 已退货
        """,
        "payment_failed": """
            payment_failed failed declined failure fail rejected denied error unsuccessful
            fehlgeschlagen abgelehnt échoué échec refusé refusée fallido fallida rechazado falhou
            recusado recusada falha 失败 支付失败 已失败
        """,
        "void": """
            void voided cancelled canceled cancel deleted expired abandoned
            storniert abgebrochen storno annulé annulée annule annulee cancelado cancelada anulado
            anulada 已取消 取消 作废 已关闭 交易关闭
        """,
    },
    "interactions": {
        "usage": "usage use used play plays stream watch listen nutzung utilisation uso 使用",
        "login": "login logins log_in sign_in signin anmeldung connexion 登录",
        "visit": """
            visit visits session sessions view views page_view pageviews pageview session_start
            check_in checkin checkins attended attend present
            anwesend besuch besuche visite visites visita visitas 访问 到访
        """,
        "sent": """
            sent sends send email_sent mail_sent emails mailing mailings newsletter newsletters
        """,
        "opened": "opened open opens email_open email_opened",
        "clicked": "clicked click clicks email_click email_clicked",
        "call": "call calls phone_call support_call anruf anrufe appel appels llamada llamadas",
        "cancel_page": "cancel_page cancelpage cancellation_page",
    },
    "feedback": {
        "complaint": """
            complaint complaints ticket tickets issue issues claim claims support beschwerde
            beschwerden reclamation reclamations queja quejas reclamaciones 投诉 工单
        """,
        "nps": "nps",
        "review": """
            review reviews rating ratings stars bewertung bewertungen avis reseñas resenas
            avaliacoes 评价 评论
        """,
        "csat": """
            csat survey surveys satisfaction umfrage umfragen zufriedenheit enquete encuesta
            encuestas pesquisa 满意度 问卷
        """,
    },
}
# Rows that are no transaction yet, or never were one: they are left out and counted.
PENDING_WORDS = """
    pending on_hold onhold hold awaiting awaiting_payment unpaid open draft authorized authorised
    requires_action requires_payment_method incomplete checkout_draft scheduled quote
    pending_payment
    offen ausstehend entwurf wartend in_bearbeitung en_attente brouillon impaye impayé pendiente
    borrador pendente em_aberto 待付款 待支付 未付款 未支付 处理中 草稿
"""
TEST_WORDS = "test tests testing demo dummy sandbox teste prueba prova essai testbestellung 测试"
# Words that turn a word for a purchase into its contrary.
NEGATION_WORDS = (
    "no not non un never without nicht kein keine nie ne pas sans sin nunca nao sem 未 不 无"
)
# What a list of customers says of who is still one today.
CUSTOMER_STATUS_WORDS = """
    active inactive cancelled canceled churned churn lapsed left former gone closed terminated
    suspended paused frozen expired deactivated disabled deleted ended resigned dormant on_hold
    not_active non_active unsubscribed current quit live dead lost
    aktiv inaktiv gekundigt gekuendigt ausgetreten ehemalig gesperrt ruhend beendet pausiert
    abgemeldet nicht_aktiv passiv
    actif inactif inactive resilie resiliee radie radiee suspendu suspendue desabonne desabonnee
    parti partie ancien
    activo activa inactivo inactiva baja alta de_baja de_alta dado_de_baja dada_de_baja
    suspendido suspendida cancelado cancelada retirado retirada
    ativo ativa inativo inativa suspenso suspensa encerrado encerrada desligado desligada
    活跃 不活跃 流失 已流失 注销 已注销 正常 冻结 停用 失效 退会 在会
"""
FILE_WORDS: dict[str, str] = {
    "customers": """
        customers customer clients client users members subscribers households demographics
        people contacts accounts profiles kunden kundenliste clientes clienti mitglieder membres
        socios 客户 会员 用户 customer_list
    """,
    "transactions": """
        transactions transaction payments invoices invoice receipts baskets lines items retail
        refunds charges bestellungen verkäufe umsätze rechnungen zahlungen erstattungen auftraege
        aufträge commandes ventes factures paiements remboursements pedidos ventas facturas pagos
        compras vendas faturas pagamentos reembolsos 订单 交易 销售 付款 退款
    """,
    "interactions": """
        interactions events event clicks clickstream activity activities log logs emails logins
        ereignisse aktivitäten besuche evenements visites eventos visitas 事件 活动 访问
    """,
    "feedback": """
        feedback complaints tickets responses answers support ratings reviews beschwerden
        bewertungen umfrage tickets_support avis enquete quejas encuesta reclamacoes avaliacoes
        pesquisa 反馈 投诉 评价 工单
    """,
    "contracts": """
        contracts contract subscriptions subscription policies memberships plans terms agreements
        verträge vertraege abos abonnements mitgliedschaften contrats adhesions contratos
        suscripciones assinaturas 合同 订阅 会员卡
    """,
}
FLAG_WORDS = {
    "true": "true 1 yes t y ja oui si sim wahr vrai verdadero verdadeiro on x 是 真",
    "false": "false 0 no f n nein non nao falsch faux falso off 否 假",
}
# Signs of money; ISO codes and other words around an amount.
CURRENCY_SIGNS = {
    "€": "EUR",
    "£": "GBP",
    "¥": "JPY",
    "$": "USD",
    "₹": "INR",
    "₩": "KRW",
    "₽": "RUB",
    "₺": "TRY",
    "元": "CNY",
    "円": "JPY",
    "￥": "CNY",
}
_CODES = """
    EUR USD GBP CHF JPY CNY INR BRL MXN CAD AUD NZD SEK NOK DKK PLN CZK HUF RON TRY ZAR
    SGD HKD KRW ILS AED SAR KWD BHD OMR JOD TND ISK COP CLP ARS PEN RUB UAH THB IDR MYR PHP VND TWD
"""
CURRENCY_WORDS = {
    **{code: code for code in _CODES.split()},
    "US$": "USD",
    "RMB": "CNY",
    "R$": "BRL",
    "C$": "CAD",
    "A$": "AUD",
    "kr": "SEK",
    "zł": "PLN",
    "Rs.": "INR",
    "Rs": "INR",
    "Fr.": "CHF",
    "Kč": "CZK",
}
BLANK_WORDS = (
    "null", "na", "n/a", "nan", "none", "nat", "\\n", "-", "--", "#n/a", "#value!", "(null)",
    "(blank)", "undefined", "nil",
)  # fmt: skip
# Rows under a table that add it up.
TOTAL_WORDS = """
    total totals grand_total subtotal sub_total sum summe gesamt gesamtsumme zwischensumme insgesamt
    total_general totales suma total_geral soma 合计 总计 小计
"""
# Customers who are nobody: one of these stands for many.
PLACEHOLDER_WORDS = """
    0 -1 00 000 0000 00000 000000 9999 99999 999999 guest guests anonymous anon unknown walk_in
    walkin cash_customer na none null gast unbekannt laufkunde barverkauf invite anonyme inconnu
    invitado anonimo desconocido consumidor_final convidado 散客 游客 匿名 test
"""
