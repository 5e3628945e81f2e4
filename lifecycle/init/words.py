"""The names of columns that `lifecycle init` knows, by contract table and role.

Plain data, in English, Chinese, German, French, Spanish and Portuguese. Names are compared without
case, accents, spaces, underscores and tails in brackets; the best synonym comes first.
"""

from __future__ import annotations

CUSTOMER = """
    customer_id cust_id client_id customer_unique_id customer_no customer_number customer_key
    customer_code customer_ref customer_reference customer cust_no client_no client user_id user
    member_id member_no member_number membership_no membership_number member subscriber_id
    subscriber account_id account_no account_number account household_id household_key msisdn
    buyer_id buyer shopper_id guest_id visitor_id contact_id person_id person donor_id patient_id
    student_id passenger_id player_id master_id uid user_pseudo_id external_customer_id
    external_id client_number client_code
    kunden_id kundennummer kunden_nr kundennr kd_nr kdnr kunde kunden_no mitglied_id
    mitgliedsnummer mitglieds_nr mitglied benutzer_id nutzer_id
    id_client numero_client no_client n_client code_client client_ref ref_client
    id_adherent numero_adherent adherent utilisateur_id id_utilisateur membre
    id_cliente cliente_id cliente codigo_cliente cod_cliente numero_cliente n_cliente no_cliente
    nro_cliente num_cliente socio_id id_socio socio usuario_id id_usuario usuario comprador
    codigo_do_cliente id_do_cliente numero_do_cliente
    客户编号 客户id 客户号 客户代码 客户 会员编号 会员id 会员号 会员
    用户编号 用户id 用户 顾客编号 顾客id 顾客
    owner_id owner
"""
EMAIL = """
    email e_mail email_address customer_email client_email user_email contact_email billing_email
    buyer_email mail e_mail_adresse email_adresse kunden_email adresse_email courriel correo
    correo_electronico email_cliente e_mail_cliente email_client email_do_cliente
    邮箱 电子邮件 电子邮箱
"""
_TIME = """
    occurred_at event_time event_date event_timestamp timestamp datetime date_time date time
    created_at created_on created_date date_created create_date created ts day placed_at placed_on
    datum zeitpunkt zeitstempel erstellt_am erstellt angelegt_am
    date_heure horodatage cree_le date_creation date_de_creation
    fecha fecha_hora fecha_creacion fecha_de_creacion creado creado_el
    data data_hora data_criacao data_de_criacao criado_em
    日期 时间 日期时间 创建时间 创建日期 发生时间 时间戳
"""
_RECORDED = """
    recorded_at loaded_at ingested_at booked_at posted_at inserted_at imported_at extracted_at
    synced_at etl_loaded_at load_date load_time erfasst_am gebucht_am enregistre_le registrado_em
    registrado_el 入库时间 记录时间
"""
# Times at which a row was last changed: they say when the row was overwritten, not when it was new.
UPDATED = """
    updated_at updated_on updated last_updated last_updated_at last_modified modified_at modified
    modified_date last_modified_date date_modified update_time aktualisiert_am geandert_am
    modifie_le mis_a_jour_le date_de_mise_a_jour actualizado_el fecha_actualizacion atualizado_em
    data_atualizacao 更新时间 修改时间
"""
SYNONYMS: dict[str, dict[str, str]] = {
    "customers": {
        "customer_id": f"{CUSTOMER} record_id id",
        "valid_from": "valid_from gultig_ab valide_a_partir_du valido_desde 生效时间",
        "acquired_at": """
            acquired_at signup_date signup_at signed_up_at sign_up_date registered_at
            registration_date registered_on registered joined_at joined_on join_date joined
            customer_since member_since client_since first_seen created_at created_on created
            created_date create_date date_created kunde_seit kundin_seit mitglied_seit
            registriert_am anmeldedatum beitritt beitrittsdatum eintrittsdatum
            client_depuis date_inscription date_d_inscription inscrit_le date_adhesion
            cliente_desde fecha_alta fecha_registro fecha_de_registro fecha_de_alta alta
            data_cadastro data_de_cadastro data_inscricao
            注册时间 注册日期 入会日期 开户日期
        """,
        "channel": """
            channel acquisition_channel source utm_source heard_via how_did_you_hear lead_source
            referral_source original_source signup_source kanal quelle herkunft canal origine
            source_acquisition origen origem canal_de_aquisicao 渠道 来源 获客渠道
        """,
        "segment": """
            segment customer_segment customer_group customer_type tier plan membership_type
            membership_plan customer_tier group kundengruppe kundentyp segment_client
            groupe_client type_client segmento tipo_cliente grupo_cliente tarifa
            segmento_do_cliente 客户类型 客户等级 会员等级 分组 等级
        """,
        "region": """
            region country state province city area country_code home_club home_store
            default_address_country_code billing_country land ort stadt bundesland pays ville
            departement pais ciudad provincia estado cidade regiao 地区 城市 省份 国家 区域
        """,
        "consent": """
            consent marketing_consent opt_in marketing_opt_in email_opt_in accepts_marketing
            accepts_email_marketing newsletter einwilligung werbeeinwilligung consentement optin
            accepte_newsletter consentimiento acepta_publicidad consentimento aceita_marketing
            同意营销 营销同意 是否同意 订阅通知
        """,
        "acquisition_cost": "acquisition_cost cac akquisekosten cout_acquisition 获客成本",
    },
    "transactions": {
        "customer_id": CUSTOMER,
        "occurred_at": f"""
            occurred_at order_date ordered_at order_datetime order_timestamp invoice_date
            transaction_date transaction_timestamp transaction_datetime transaction_time
            purchase_date purchase_time purchased_at purchased_on order_time order_created_at
            order_placed_at payment_date paid_at paid_on sale_date sales_date sold_at
            charged_at issued_at issued_on issue_date billed_at billed_on billing_date settled_at
            refunded_at refund_date returned_at return_date completed_date
            bestelldatum bestellt_am kaufdatum rechnungsdatum auftragsdatum zahlungsdatum
            belegdatum verkaufsdatum transaktionsdatum buchungsdatum erstattet_am
            date_commande date_de_commande date_achat date_d_achat date_facture date_de_facture
            date_paiement date_vente date_transaction date_remboursement commande_le
            fecha_pedido fecha_de_pedido fecha_compra fecha_de_compra fecha_factura fecha_venta
            fecha_pago fecha_transaccion fecha_reembolso
            data_pedido data_do_pedido data_compra data_da_compra data_fatura data_venda
            data_pagamento data_transacao data_reembolso
            订单日期 订单时间 下单时间 下单日期 交易日期 交易时间 购买日期 购买时间
            付款时间 支付时间 付款日期 退款时间 {_TIME}
        """,
        "amount": """
            amount total total_amount order_total grand_total order_value order_amount
            total_price total_paid line_total net_amount gross_amount amount_paid payment_amount
            payment_value paid paid_amount invoice_total invoice_amount invoice_value
            bill_amount bill_total bill_value transaction_amount transaction_value
            purchase_amount sale_amount revenue turnover
            sales_value sales_amount sales net_sales gross_sales dollar_value spend spent value
            sum charge monetary amount_cents amount_in_cents total_cents total_incl_vat gross net
            betrag gesamtbetrag gesamt summe umsatz bestellwert rechnungsbetrag auftragswert
            gesamtpreis zahlbetrag bruttobetrag nettobetrag wert 
            montant montant_total montant_ttc total_ttc prix_total chiffre_affaires valeur
            total_commande
            importe importe_total monto monto_total valor valor_total total_pedido total_factura
            importe_pagado total_pagado 
            quantia valor_pago valor_do_pedido total_do_pedido preco_total
            金额 总金额 订单金额 交易金额 支付金额 实付金额 付款金额 总价 销售额 合计金额
        """,
        "price": """
            unit_price price item_price price_each unit_cost stückpreis stueckpreis einzelpreis
            preis prix prix_unitaire precio precio_unitario preco preco_unitario 单价 价格
        """,
        "recorded_at": _RECORDED,
        "transaction_id": """
            transaction_id order_id order_no order_number order_ref order_reference invoice_no
            invoice_id invoice_number invoice basket_id receipt_id receipt_no receipt_number
            bill_no payment_id charge_id sale_id txn_id trans_id refund_id refund_no order id
            bestellnummer bestell_nr bestell_id bestellung auftragsnummer auftrags_nr
            rechnungsnummer rechnungs_nr belegnummer beleg_nr transaktions_id erstattungs_id
            id_commande numero_commande no_commande n_commande numero_de_commande commande
            numero_facture id_facture id_transaction reference id_remboursement
            n_facture no_facture num_facture numero_de_facture facture rechnung beleg
            id_pedido numero_pedido n_pedido no_pedido numero_de_pedido pedido numero_factura
            id_factura id_transaccion folio id_reembolso
            no_de_factura no_de_pedido n_factura no_factura nro_factura num_factura
            numero_de_factura factura
            n_recibo no_recibo nro_recibo numero_de_recibo numero_recibo recibo boleta comprobante
            id_do_pedido numero_do_pedido numero_fatura id_fatura id_transacao
            n_fatura no_fatura no_da_fatura no_do_pedido no_pedido numero_da_fatura numero_de_fatura
            fatura nota_fiscal
            订单编号 订单号 订单id 交易编号 交易号 流水号 发票号 单号 退款编号
        """,
        "kind": """
            kind transaction_type type order_status payment_status financial_status status
            event_type transaction_status invoice_status state
            bestellstatus zahlungsstatus auftragsstatus statut statut_commande statut_paiement
            estado estado_pedido estado_pago estado_del_pedido situacao status_pedido
            status_do_pedido status_pagamento art typ tipo
            状态 订单状态 支付状态 交易状态 交易类型 类型
        """,
        "quantity": """
            quantity qty units pieces items item_count num_items number_of_items number_of_cds
            menge anzahl stuck quantite qte cantidad cant quantidade qtd 数量 件数
        """,
        "category": """
            category product_category item_category department product_type genre kategorie
            warengruppe produktgruppe abteilung categorie rayon categoria departamento 类别 品类
            分类 商品类别
        """,
        "discount": """
            discount discount_amount rabatt nachlass remise reduction descuento desconto 折扣
            优惠金额 优惠
        """,
        "channel": """
            channel sales_channel order_channel medium platform kanal vertriebskanal canal
            canal_de_vente canal_venta canal_de_venda 渠道 销售渠道 平台
        """,
        "method": """
            method payment_method paid_by payment_mode payment_type payment_method_title tender
            zahlungsart zahlungsmethode zahlungsweise mode_paiement mode_de_paiement
            moyen_de_paiement metodo_pago metodo_de_pago forma_de_pago metodo_pagamento
            forma_pagamento forma_de_pagamento metodo_de_pagamento 支付方式 付款方式
        """,
        "line": """
            product_id product sku stock_code item_id item article article_no description line_no
            line_id artikel artikelnummer produkt article_id produit producto produto articulo
            商品编号 商品 产品 产品编号
        """,
        "currency": """
            currency currency_code curr ccy order_currency waehrung währung devise moneda moeda
            币种 货币
        """,
        "refunded": """
            amount_refunded refunded_amount refund_amount total_refunded refund_total
            erstattet_betrag erstattungsbetrag montant_rembourse importe_reembolsado
            valor_reembolsado 退款金额 refunded refund erstattet
        """,
    },
    "interactions": {
        "customer_id": CUSTOMER,
        "occurred_at": f"""
            {_TIME} visited_at visit_date visit_time session_start login_at login_time login_date
            logged_in_at start_time started_at sent_at checkin_time check_in_time checkin_at
            checked_in_at checkin check_in besuchsdatum besuchszeit date_visite date_de_visite
            fecha_visita data_visita 访问时间 登录时间 到访时间 签到时间
        """,
        "kind": """
            kind event event_type event_name action interaction interaction_type activity
            activity_type attendance attendance_status anwesenheit presence asistencia
            type ereignis evenement evento tipo_evento acao aktion 事件 事件类型 行为
        """,
        "recorded_at": _RECORDED,
        "channel": "channel medium platform device kanal canal gerät appareil 渠道 设备",
        "quantity": """
            quantity minutes duration_minutes pages page_views duration dauer minuten duree
            minutos duracion duracao 时长 分钟
        """,
    },
    "feedback": {
        "customer_id": CUSTOMER,
        "occurred_at": f"""
            occurred_at sent_at sent sent_on survey_sent survey_sent_at survey_date review_date
            submitted_at submitted opened_at opened raised_at rated_at reported_at
            versendet versendet_am versandt_am versanddatum
            gesendet gesendet_am invited_at eroffnet_am eroffnet bewertet_am envoye_le ouvert_le
            enviado_el enviado_em abierto_el fecha_envio aberto_em data_envio
            posted posted_on abierto aberto ouvert fecha_de_apertura fecha_apertura
            data_de_abertura data_abertura date_ouverture date_d_ouverture
            发送时间 提交时间 评价时间 打开时间 {_TIME}
        """,
        "kind": "kind feedback_type survey_type survey type",
        "score": """
            score rating stars nps nps_score csat csat_score review_score satisfaction grade
            note punktzahl bewertung punkte sterne puntuacion calificacion nota pontuacao
            avaliacao 评分 分数 得分 满意度
        """,
        "answered_at": """
            answered_at answered answered_on responded_at response_at response_date responded
            answer_date replied_at completed_at review_answer_timestamp response_time_stamp
            beantwortet_am beantwortet antwort_am antwortdatum repondu_le date_reponse respondido_el
            fecha_respuesta respondido_em data_resposta 回答时间 回复时间 答复时间
        """,
        "resolved_at": """
            resolved_at closed_at solved_at resolved_on closed_on resolution_date resolved_date
            closed_date resolved closed solved gelost_am geschlossen_am geschlossen erledigt_am
            resolu_le ferme_le cloture_le resuelto_el cerrado_el cerrado resolvido_em fechado_em
            gelost geloest resolu ferme cloture resuelto resolvido fechado date_resolution
            date_de_resolution fecha_de_resolucion fecha_resolucion fecha_de_cierre fecha_cierre
            data_de_resolucao data_resolucao
            解决时间 关闭时间
        """,
        "topic": """
            topic category reason issue issue_type subject_category ticket_type thema grund sujet
            motif tema motivo assunto 主题 原因 类别
        """,
        "item": "item product product_id sku order_id",
        "recorded_at": _RECORDED,
    },
    "contracts": {
        "customer_id": CUSTOMER,
        "starts_at": """
            starts_at starts_on start_date start started_at contract_start contract_start_date
            subscription_start subscription_start_date term_start period_start
            current_period_start current_term_start begin_date begins begin from valid_from
            from_date effective_from effective_date
            beginn vertragsbeginn startdatum von gultig_von gultig_ab laufzeit_von
            debut date_debut date_de_debut du inicio fecha_inicio fecha_de_inicio desde
            data_inicio data_de_inicio 开始日期 开始时间 生效日期 起始日期 合同开始
        """,
        "ends_at": """
            ends_at ends_on end_date end ended_at expires_at expires_on expires expiry
            expiry_date expiration_date contract_end contract_end_date subscription_end
            subscription_end_date term_end period_end current_period_end current_term_end
            valid_until valid_to to to_date until effective_to
            ende vertragsende enddatum bis gultig_bis laufzeit_bis
            fin date_fin date_de_fin au fecha_fin fecha_de_fin hasta vencimiento
            fim data_fim data_de_fim ate vencimento 结束日期 结束时间 到期日期 到期日 合同结束
        """,
        "cancelled_at": """
            cancelled_at canceled_at cancelled_on canceled_on cancelled canceled
            cancellation_date cancel_date cancelled_date canceled_date terminated_at
            terminated_on terminated termination_date termination_notice cancel_dt cancellation
            notice_given_at notice_given_on notice_given notice_received notice_received_at
            notice_received_on withdrawn withdrawn_at withdrawn_on unsubscribed unsubscribed_at
            unsubscribed_on resigned_at resigned_on
            notice_date kundigung gekundigt_am kundigungsdatum gekundigt
            resilie_le date_resiliation date_de_resiliation cancelado_el fecha_cancelacion
            cancelada_el cancelado_el fecha_de_baja fecha_de_cancelacion cancelada_em annule_le
            fecha_baja cancelado_em data_cancelamento 取消时间 取消日期 退订时间 解约日期
        """,
        "plan": """
            plan plan_name plan_id tariff tier product package subscription_type
            membership_type plan_code tarif vertragsart abo abo_typ formule forfait abonnement
            tarifa paquete plano pacote 套餐 计划 方案 产品
        """,
        "price": """
            price monthly_price term_price monthly_fee yearly_price annual_price fee amount mrr
            preis monatspreis monatsbeitrag jahrespreis mensualite prix_mensuel cuota_mensual
            precio_mensual preco_mensal gebuhr beitrag betrag prix
            montant tarif_mensuel cotisation precio cuota importe preco mensalidade valor 价格 费用
            金额
        """,
        "auto_renew": """
            auto_renew auto_renewal autorenew renews auto_renews automatic_renewal
            verlangert_sich auto_verlangerung renouvellement_auto renouvellement_automatique
            renovacion_automatica renovacao_automatica renova 自动续费 自动续订
        """,
        "recorded_at": f"{_RECORDED} signed_at",
    },
}
ENDINGS = {
    "customer_id": "id",
    "occurred_at": "date datetime timestamp time at datum fecha",
    "amount": "amount total value revenue sales betrag montant importe",
}
# A name with one of these words is not chosen by its ending: `product_id` is no customer.
NOT_BY_ENDING = """
    order invoice transaction product item sku store shop basket session ticket review event row
    line campaign coupon sample visit payment contract subscription message survey plan upc
    category region country birth due delivered delivery shipping shipped carrier estimated
    expiry updated modified valid end until resolved answered answer approved cancelled first
    last average avg min max tax vat freight discount disc tip unit lifetime limit manufacturer
    vendor supplier seller merchant brand agent employee staff device location branch warehouse
    driver refund charge bestell rechnungs artikel produkt commande facture produit pedido factura
    producto fatura produto
"""
# Columns of customers that are written when somebody leaves: with them a model knows the answer.
LEAKY = """
    left left_on left_at left_date leave_date leaving_date churned churn churn_date churned_at
    churned_on is_churned exited exit_date cancelled_at cancelled_on canceled_at cancellation_date
    cancel_date closed_at closed_on close_date terminated_at termination_date end_date ended_at
    inactive_since deactivated_at deleted_at attrition last_order_date last_purchase_date
    last_order last_purchase last_visit last_login last_seen last_activity last_activity_date
    total_spent total_orders orders_count lifetime_value ltv lifecycle_stage status
    account_status customer_status member_status lead_status is_active active
    austritt austrittsdatum ausgetreten_am gekundigt_am kundigungsdatum date_depart date_sortie
    date_resiliation desabonne_le fecha_baja fecha_de_baja baja data_saida data_cancelamento
    流失 是否流失 离开日期 注销时间 退会日期
"""
CHURN_LABELS = """
    churn churned is_churn is_churned churn_flag churn_label churn_value churn_score exited
    attrition attrition_flag left target label y abgewandert kundigung kundigt resilie attrition
    baja abandono cancelou evasao 流失 是否流失
"""
